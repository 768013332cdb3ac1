"""Reports of Amazon SES, as SNS posts them: its signature, its confirmation, its words.

The secret is the ARN of the topic. A signature of SNS only says that some account of AWS sent it, so a report counts
from that topic alone; and the topic's region names the one host that certificates are fetched from and that is told
the confirmation, whatever addresses stand in the body.
"""

from __future__ import annotations

import binascii
import http.client
import json
import re
import ssl
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from channels.email.returns import BounceClass, bounce_class
from runtime.errors import Unavailable

_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}[a-z0-9-]{3,30}):\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{16,64}\.pem")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES = {"1": SHA1, "2": SHA256}
_SECONDS = 5
_LONGEST = 64 * 1024
_MOST = 20
_MOST_HEADERS = 200
_LONGEST_NAME = 1_000

_DETAILS = {
    "NoEmail": BounceClass.HARD,
    "Suppressed": BounceClass.HARD,
    "OnAccountSuppressionList": BounceClass.HARD,
    "UnsubscribedRecipient": BounceClass.POLICY,
    "MailboxFull": BounceClass.FULL,
    "MessageTooLarge": BounceClass.CONTENT,
    "ContentRejected": BounceClass.CONTENT,
    "AttachmentRejected": BounceClass.CONTENT,
}

# Host and path to certificate; SNS changes its certificate about once a year.
certificates: dict[str, x509.Certificate] = {}


def signed_by_topic(secret: str, body: bytes, now: datetime) -> bool:
    """Whether SNS signed this for the topic `secret`. May fetch a certificate (blocking, 5 s at most). Raises
    Unavailable where that fails."""
    told = _parsed(body)
    host = topic_host(secret)
    if host is None or told.get("TopicArn") != secret:
        return False
    said, kind = _said(told), _HASHES.get(str(told.get("SignatureVersion")))
    path = str(told.get("SigningCertURL") or "").removeprefix(f"https://{host}")
    if said is None or kind is None or not _CERTIFICATE.fullmatch(path):
        return False
    certificate = _certificate(host, path)
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or not _in_force(certificate, now):
        return False
    try:
        key.verify(b64decode(str(told.get("Signature") or ""), validate=True), said, PKCS1v15(), kind())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def topic_host(arn: str) -> str | None:
    """The host of SNS in the topic's region; None where this is no topic."""
    found = _ARN.fullmatch(arn)
    return found and f"sns.{found[2]}.amazonaws.com" + (".cn" if found[1] == "aws-cn" else "")


def confirm(secret: str, body: bytes) -> None:
    """Tell SNS that this endpoint wants the topic, where the authentic body asks for it (blocking). Raises
    Unavailable."""
    told, host = _parsed(body), topic_host(secret)
    if told.get("Type") == "SubscriptionConfirmation" and host is not None:
        asked = {"Action": "ConfirmSubscription", "TopicArn": secret, "Token": str(told.get("Token"))}
        _fetch(host, f"/?{urlencode(asked)}")


def ses_report(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What SES wrote into a notification; {} for everything else."""
    return (
        _parsed(str(told.get("Message") or "").encode(errors="replace")) if told.get("Type") == "Notification" else {}
    )


def ses_names(mail: Mapping[str, Any]) -> tuple[str, ...]:
    """What the `mail` of a report is called: by its tag, which published events have; by the Message-ID that it was
    handed over with, which SES replaces. Notifications give that in `commonHeaders`, published events in `headers`
    alone."""
    tags, common, headers = mail.get("tags"), mail.get("commonHeaders"), mail.get("headers")
    found: list[Any] = []
    if isinstance(tags, Mapping):
        found += tags["hearth"][:1] if isinstance(tags.get("hearth"), list) else []
    if isinstance(common, Mapping):
        found.append(common.get("messageId"))
    for each in headers[:_MOST_HEADERS] if isinstance(headers, list) else []:
        if isinstance(each, Mapping) and str(each.get("name")).lower() == "message-id":
            found.append(each.get("value"))
    return tuple(name[:_LONGEST_NAME] for name in found if isinstance(name, str))


def ses_class(kind: str, detail: str, action: str, status: str, words: str) -> BounceClass | None:
    """Of `bounceType`, `bounceSubType` and what is told of the recipient. None where nothing failed: SES reports
    automatic answers as transient bounces without a failed recipient."""
    if detail in _DETAILS:
        return _DETAILS[detail]
    found = bounce_class(status, None, words)
    if kind == "Permanent":
        return BounceClass.HARD if found is BounceClass.SOFT else found
    if kind == "Transient" and action != "failed":
        return None
    return BounceClass.SOFT if found is BounceClass.HARD else found


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _said(told: Mapping[str, Any]) -> bytes | None:
    """The text that SNS signs; a field that is missing is left out (Subject), one that is no text ends it."""
    fields = _NOTIFICATION if told.get("Type") == "Notification" else _CONFIRMATION
    given = {name: told[name] for name in fields if told.get(name) is not None}
    if not all(isinstance(value, str) for value in given.values()):
        return None
    return "".join(f"{name}\n{value}\n" for name, value in given.items()).encode(errors="replace")


def _certificate(host: str, path: str) -> x509.Certificate:
    known = certificates.get(host + path)
    if known is None:
        try:
            known = x509.load_pem_x509_certificate(_fetch(host, path))
        except ValueError:
            raise Unavailable("what SNS gave for its certificate cannot be read") from None
        if len(certificates) >= _MOST:
            certificates.clear()
        certificates[host + path] = known
    return known


def _in_force(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _fetch(host: str, path: str) -> bytes:
    """GET over TLS; follows no redirect."""
    connection = http.client.HTTPSConnection(host, timeout=_SECONDS, context=ssl.create_default_context())
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.read(_LONGEST)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{host} cannot be reached: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unavailable(f"{host} answered {answer.status}")
    return found

"""What e-mail providers report by HTTP, in one vocabulary: each provider's own signature, then its own words.

`mailgun`: HMAC over its timestamp and token. `sendgrid`: ECDSA over timestamp and body (Signed Event Webhook).
`ses`: over SNS (hooks_amazon.py). `postmark`: a password (hooks_postmark.py).
`generic`: HMAC-SHA-256 over the body in `X-Hearth-Signature: sha256=HEX`, for servers of one's own:
`{"events": [{"event", "at", "message_id" | "return_path", "class"?, "status"?, "code"?, "text"?}]}`.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.contract import EventKind
from channels.email.hooks_amazon import confirm, ses_class, ses_names, ses_report, signed_by_topic
from channels.email.hooks_postmark import knows_password, postmark_kind
from channels.email.replies import clean_text
from channels.email.returns import BounceClass, bounce_class
from channels.email.returns.classes import status_in
from runtime.errors import Invalid, Problem

Headers = Mapping[str, str]  # names in lower case

# Mailgun signs no body, so what was signed is believed for one report alone, and that for as long as it may be on its
# way: repeated for 8 h, and 29 h late where somebody keeps it in between.
MAILGUN_WINDOW = timedelta(hours=30)
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One thing that a provider reports. `names`: what it calls the mail, each the key that the mail went out with
    (marks.py) or its Message-ID; `path`: of its envelope, "" where the provider does not say. `at` None: it does not
    say when."""

    kind: EventKind
    at: datetime | None
    names: tuple[str, ...] = ()
    path: str = ""
    bounce: BounceClass | None = None
    status: str = ""
    code: int | None = None
    words: str = ""


@dataclass(frozen=True)
class Provider:
    """`authentic(secret, headers, body, now)`: whether it says so itself; may block for seconds, raises Unavailable.
    `read`: one report of its parsed body. `greet(secret, body)`: answers an authentic request to confirm (blocking).
    `once(body)`: of an authentic body whose signature does not cover it, what was signed and what it was used for.
    """

    authentic: Callable[[str, Headers, bytes, datetime], bool]
    read: Callable[[Mapping[str, Any]], HookEvent]
    greet: Callable[[str, bytes], None] | None = None
    once: Callable[[bytes], tuple[str, str]] | None = None


def read_hook(provider: Provider, body: bytes) -> list[HookEvent]:
    """The events of an authentic body; what concerns no message's fate is left out. Raises Invalid."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid(Problem("body", "is no JSON")) from None
    if isinstance(told, dict):
        told = told.get("events", [told])
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise Invalid(Problem("body", "is no list of events"))
    events = [provider.read(each) for each in told]
    return [event for event in events if event.kind is not EventKind.UNKNOWN]


def _signed_generic(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    wanted = "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()
    return hmac.compare_digest(wanted.encode(), headers.get("x-hearth-signature", "").strip().lower().encode())


def _generic(told: Mapping[str, Any]) -> HookEvent:
    kind = _GENERIC.get(_text(told, "event"), EventKind.UNKNOWN)
    status, code, words = _text(told, "status"), _number(told.get("code")), clean_text(_text(told, "text"))
    given = _text(told, "class")
    bounce = BounceClass(given) if given in set(BounceClass) else bounce_class(status, code, words)
    return HookEvent(
        kind,
        _moment(told.get("at")),
        (_text(told, "message_id"),),
        _text(told, "return_path"),
        bounce if kind is EventKind.BOUNCED else None,
        status,
        code,
        words,
    )


def _signed_mailgun(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    """The signature covers timestamp and token alone, and is believed for MAILGUN_WINDOW."""
    try:
        signature = _within(json.loads(body), "signature")
    except (ValueError, RecursionError):
        return False
    stamp = _text(signature, "timestamp")
    said = (stamp + _text(signature, "token")).encode(errors="replace")
    wanted = hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
    at = _moment(int(stamp)) if stamp.isascii() and stamp.isdigit() and len(stamp) < 12 else None
    fresh = at is not None and now - MAILGUN_WINDOW <= at <= now + _AHEAD
    return fresh and hmac.compare_digest(wanted.encode(), _text(signature, "signature").encode(errors="replace"))


def _mailgun_use(body: bytes) -> tuple[str, str]:
    told = json.loads(body)
    data = json.dumps(told.get("event-data"), sort_keys=True)
    token = _text(_within(told, "signature"), "token")
    return hashlib.sha256(token.encode(errors="replace")).hexdigest(), hashlib.sha256(data.encode()).hexdigest()


def _mailgun(told: Mapping[str, Any]) -> HookEvent:
    data = _within(told, "event-data")
    status, message = _within(data, "delivery-status"), _within(_within(data, "message"), "headers")
    kind = _MAILGUN.get(_text(data, "event"), EventKind.UNKNOWN)
    if kind is EventKind.BOUNCED and _text(data, "severity") == "temporary":  # it still tries
        kind = EventKind.UNKNOWN
    words = clean_text(_text(status, "message") or _text(status, "description") or _text(data, "reason"))
    code, enhanced = _number(status.get("code")), _text(status, "enhanced-code")
    bounce = bounce_class(enhanced, code, words) if kind is EventKind.BOUNCED else None
    reason = _text(data, "reason")
    if bounce and reason.startswith("suppress-"):  # not sent at all: it stands on Mailgun's own lists
        bounce = BounceClass.HARD if reason == "suppress-bounce" else BounceClass.POLICY
    path = _text(_within(data, "envelope"), "sender")
    at = _moment(data.get("timestamp"))
    names = (_text(_within(data, "user-variables"), "hearth"), _text(message, "message-id"))
    return HookEvent(kind, at, names, path, bounce, enhanced, code, words)


def _signed_sendgrid(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    """`secret`: the public key, as SendGrid shows it (DER in base64)."""
    stamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
    given = headers.get("x-twilio-email-event-webhook-signature", "")
    try:
        key = load_der_public_key(b64decode(secret))
        if not isinstance(key, EllipticCurvePublicKey) or not stamp:
            return False
        key.verify(b64decode(given), stamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
        return False
    return True


def _sendgrid(told: Mapping[str, Any]) -> HookEvent:
    kind = _SENDGRID.get(_text(told, "event"), EventKind.UNKNOWN)
    status, words = _text(told, "status"), clean_text(_text(told, "reason") or _text(told, "response"))
    bounce = None
    if kind is EventKind.BOUNCED:
        bounce = _sendgrid_class(_text(told, "event"), _text(told, "type"), status, words)
    # A late bounce has no `smtp-id`, and engagement has none either.
    names = (_text(told, "hearth"), _text(_within(told, "unique_args"), "hearth"), _text(told, "smtp-id"))
    return HookEvent(kind, _moment(told.get("timestamp")), names, "", bounce, status, None, words)


def _sendgrid_class(event: str, kind: str, status: str, words: str) -> BounceClass:
    """A drop was not sent at all; a block is temporary, whatever the words promise."""
    if event == "dropped":
        return _SENDGRID_DROPS.get(words, BounceClass.POLICY)
    found = bounce_class(status, None, words)
    return BounceClass.SOFT if found is BounceClass.HARD and kind in ("blocked", "expired") else found


def _password(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    return knows_password(secret, headers)


def _postmark(told: Mapping[str, Any]) -> HookEvent:
    kind, bounce = postmark_kind(
        _text(told, "RecordType"),
        _text(told, "Type"),
        suppresses=told.get("SuppressSending") is True,
        reason=_text(told, "SuppressionReason"),
    )
    given = next((told[name] for name in ("BouncedAt", "DeliveredAt", "ChangedAt") if told.get(name)), None)
    words = clean_text(_text(told, "Details") or _text(told, "Description"))
    status = status_in(words) if bounce else ""
    if bounce is BounceClass.SOFT:  # undeliverable for now: which way, its words say
        said = bounce_class(status, None, words)
        bounce = BounceClass.SOFT if said is BounceClass.HARD else said
    named = {name.lower(): value for name, value in _within(told, "Metadata").items()}
    return HookEvent(kind, _moment(given), (_text(named, "hearth"),), "", bounce, status, None, words)


def _signed_ses(secret: str, headers: Headers, body: bytes, now: datetime) -> bool:
    return signed_by_topic(secret, body, now)


def _ses(told: Mapping[str, Any]) -> HookEvent:
    """Notifications (`notificationType`) and published events (`eventType`) have the same parts."""
    report = ses_report(told)
    name = _text(report, "notificationType") or _text(report, "eventType")
    part, mail = _within(report, name.lower()), _within(report, "mail")
    kind, bounce, first = _SES.get(name, EventKind.UNKNOWN), None, _first(part.get("bouncedRecipients"))
    words = clean_text(_text(first, "diagnosticCode") or _text(part, "reason") or _text(part, "bounceSubType"))
    status = _text(first, "status")
    if kind is EventKind.BOUNCED:
        bounce = ses_class(
            _text(part, "bounceType"), _text(part, "bounceSubType"), _text(first, "action"), status, words
        )
        kind = kind if bounce else EventKind.UNKNOWN
    if kind is EventKind.COMPLAINED and _text(part, "complaintFeedbackType") == "not-spam":
        kind = EventKind.UNKNOWN
    if kind is EventKind.UNSUBSCRIBED and _within(part, "newTopicPreferences").get("unsubscribeAll") is not True:
        kind = EventKind.UNKNOWN
    return HookEvent(
        kind, _moment(part.get("timestamp")), ses_names(mail), _text(mail, "source"), bounce, status, None, words
    )


def _first(told: Any) -> Mapping[str, Any]:
    return told[0] if isinstance(told, list) and told and isinstance(told[0], Mapping) else {}


def _within(told: Any, name: str) -> Mapping[str, Any]:
    found = told.get(name) if isinstance(told, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    found = told.get(name)
    return found[:2_000] if isinstance(found, str) else ""


def _number(told: Any) -> int | None:
    try:
        return int(str(told)[:3])
    except ValueError:
        return None


def _moment(told: Any) -> datetime | None:
    """Of seconds since 1970, or RFC 3339."""
    try:
        if isinstance(told, int | float):
            return datetime.fromtimestamp(told, UTC)
        at = datetime.fromisoformat(str(told))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError, OSError):
        return None


_GENERIC = {
    str(kind): kind for kind in (EventKind.BOUNCED, EventKind.COMPLAINED, EventKind.DELIVERED, EventKind.UNSUBSCRIBED)
}
_MAILGUN = {
    "failed": EventKind.BOUNCED,
    "delivered": EventKind.DELIVERED,
    "complained": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
}
_SENDGRID = {
    "bounce": EventKind.BOUNCED,
    "dropped": EventKind.BOUNCED,
    "delivered": EventKind.DELIVERED,
    "spamreport": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.UNSUBSCRIBED,
}
_SENDGRID_DROPS = {"Bounced Address": BounceClass.HARD, "Invalid": BounceClass.HARD}
_SES = {
    "Bounce": EventKind.BOUNCED,
    "Complaint": EventKind.COMPLAINED,
    "Delivery": EventKind.DELIVERED,
    "Subscription": EventKind.UNSUBSCRIBED,
}
PROVIDERS: Mapping[str, Provider] = {
    "generic": Provider(_signed_generic, _generic),
    "mailgun": Provider(_signed_mailgun, _mailgun, once=_mailgun_use),
    "postmark": Provider(_password, _postmark),
    "sendgrid": Provider(_signed_sendgrid, _sendgrid),
    "ses": Provider(_signed_ses, _ses, confirm),
}

"""Each provider gives back the key that a mail went out with, in the forms that it documents; Message-IDs and return
paths are its own. And SNS is subscribed to over real TLS."""

from __future__ import annotations

import email
import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from channels.contract import Common, Personal
from channels.email import hooks_amazon
from channels.email.channel import EmailChannel
from runtime.clock import utc_now
from runtime.house import House
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people, message
from tests.web.conftest import BASE
from tests.web.test_hooks import AMAZON, BASIC, CERTIFICATE, PUBLIC, SECRET, TOPIC, Post, mailgun, sendgrid, sns
from tracking.ledger import MessageKey
from tracking.models import stray_returns
from tracking.return_paths import ReturnPaths
from web.app import create_app

AT = int(SENT_AT.timestamp()) + 60
HOST = "sns.eu-west-1.amazonaws.com"
SECRETS = (("mailgun", SECRET), ("postmark", f"postmark:{SECRET}"), ("sendgrid", PUBLIC), ("ses", TOPIC))


@pytest.fixture
def hooked(house: House) -> House:
    """Providers report; no return path of our own."""
    return replace(house, settings=replace(house.settings, return_path=None, hook_secrets=SECRETS))


@pytest.fixture
async def provider(hooked: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(hooked), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.fixture
async def key(house: House) -> MessageKey:
    async with house.database.begin() as conn:
        return (await make_messages(conn, await make_people(conn, 1), address="chen@nowhere.example"))[0]


def handed_over(house: House, key: MessageKey) -> Message:
    """The mail as the provider gets it."""
    paths = ReturnPaths.of(house)
    assert paths is not None
    reporters = tuple(name for name, _ in house.settings.hook_secrets)
    composer = EmailChannel().composer(Common(sender="Shop <shop@example.com>", reporters=reporters))
    mail = composer.compose(
        Personal(paths.mail_key(key), "chen@nowhere.example", "hello", SENT_AT, return_to=paths.address(key))
    )
    return email.message_from_bytes(mail.wire())


# Payloads after the providers' documentation, with a mail's id as the provider makes it.
def by_postmark(mail: Message) -> Post:
    told = {
        "RecordType": "Bounce",
        "MessageStream": "outbound",
        "ID": 4323372036854775807,
        "Type": "HardBounce",
        "TypeCode": 1,
        "Name": "Hard bounce",
        "Tag": "",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"hearth": mail["X-PM-Metadata-hearth"]},
        "ServerID": 23,
        "Description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "Details": "smtp;550 5.1.1 user unknown",
        "Email": "chen@nowhere.example",
        "From": "shop@example.com",
        "BouncedAt": "2026-11-21T16:33:54.9070259Z",
        "DumpAvailable": True,
        "Inactive": True,
        "CanActivate": True,
        "Subject": "",
    }
    return BASIC, json.dumps(told).encode()


def by_sendgrid(mail: Message) -> Post:
    """A late bounce: neither `smtp-id` nor `sg_message_id`."""
    told = {
        "bounce_classification": "Invalid Address",
        "email": "chen@nowhere.example",
        "event": "bounce",
        "reason": "550 5.1.1 The email account does not exist",
        "sg_event_id": "Ym91bmNlLTEtMTExMTExMTE",
        "status": "5.1.1",
        "timestamp": AT,
        "type": "bounce",
        **json.loads(mail["X-SMTPAPI"])["unique_args"],
    }
    return sendgrid(told)


def by_mailgun(mail: Message) -> Post:
    told = {
        "event": "failed",
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "timestamp": AT + 0.5,
        "log-level": "error",
        "severity": "permanent",
        "reason": "generic",
        "recipient": "chen@nowhere.example",
        "recipient-domain": "nowhere.example",
        "envelope": {"sender": "bounce+b3e6a1.72b6f@example.com", "targets": "chen@nowhere.example"},
        "message": {"headers": {"message-id": "20261121160633.1.B5A@example.com", "from": "shop@example.com"}},
        "delivery-status": {"attempt-no": 1, "code": 550, "message": "5.1.1 The account does not exist"},
        "user-variables": json.loads(mail["X-Mailgun-Variables"]),
        "tags": [],
    }
    return mailgun(told, "token of names")


SES_MAIL = {
    "timestamp": "2026-11-21T14:59:38.237Z",
    "source": "shop@example.com",
    "sourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
    "sendingAccountId": "123456789012",
    "messageId": "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa068a-000000",
    "destination": ["chen@nowhere.example"],
    "headersTruncated": False,
}
SES_BOUNCE = {
    "bounceType": "Permanent",
    "bounceSubType": "General",
    "bouncedRecipients": [
        {
            "emailAddress": "chen@nowhere.example",
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": "smtp; 550 5.1.1 user unknown",
        }
    ],
    "timestamp": "2026-11-21T14:59:38.605Z",
    "feedbackId": "000001378603177f-7a5433e7-8edb-42ae-af10-f0181f34d6ee-000000",
    "reportingMTA": "dns; email.example.com",
}


def by_ses_notification(mail: Message) -> Post:
    """Of an identity, with the original headers included; no tags."""
    told: dict[str, Any] = {
        **SES_MAIL,
        "headers": [{"name": name, "value": value} for name, value in mail.items()],
        "commonHeaders": {"from": ["Shop <shop@example.com>"], "messageId": mail["Message-ID"]},
    }
    return sns({"notificationType": "Bounce", "bounce": SES_BOUNCE, "mail": told})


def by_ses_event(mail: Message) -> Post:
    """Published through a configuration set: `commonHeaders` have the id that SES gave."""
    name, _, value = mail["X-SES-MESSAGE-TAGS"].partition("=")
    told: dict[str, Any] = {
        **SES_MAIL,
        "headers": [],
        "commonHeaders": {"messageId": SES_MAIL["messageId"]},
        "tags": {"ses:configuration-set": ["hearth"], name: [value]},
    }
    return sns({"eventType": "Bounce", "bounce": SES_BOUNCE, "mail": told})


def by_ses_event_without_tags(mail: Message) -> Post:
    told: dict[str, Any] = {
        **SES_MAIL,
        "headers": [{"name": "From", "value": "x"}, {"name": "Message-ID", "value": mail["Message-ID"]}],
        "commonHeaders": {"messageId": SES_MAIL["messageId"]},
    }
    return sns({"eventType": "Bounce", "bounce": SES_BOUNCE, "mail": told})


@pytest.fixture
def known_certificate() -> Iterator[None]:
    hooks_amazon.certificates[HOST + CERTIFICATE] = _certificate("sns.amazonaws.com", AMAZON)
    yield
    hooks_amazon.certificates.clear()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("postmark", by_postmark),
        ("sendgrid", by_sendgrid),
        ("mailgun", by_mailgun),
        ("ses", by_ses_notification),
        ("ses", by_ses_event),
        ("ses", by_ses_event_without_tags),
    ],
)
@pytest.mark.usefixtures("known_certificate")
async def test_a_report_names_the_mail_by_what_it_went_out_with(
    hooked: House, provider: httpx.AsyncClient, key: MessageKey, name: str, make: Any
) -> None:
    headers, body = make(handed_over(hooked, key))
    assert (await provider.post(f"/hooks/email/{name}", content=body, headers=headers)).status_code == 204
    async with hooked.database.connect() as conn:
        assert (await message(conn, key)).state == "bounced"
        assert not (await conn.execute(select(stray_returns.c.id))).all()


async def test_a_report_of_no_mail_of_ours_is_kept_among_the_strays(
    hooked: House, provider: httpx.AsyncClient, key: MessageKey
) -> None:
    told = {"event": "bounce", "type": "bounce", "reason": "550 gone\0", "timestamp": AT, "hearth": "a foreign one"}
    headers, body = sendgrid(told, {**told, "event": "delivered"})
    for _ in range(3):
        assert (await provider.post("/hooks/email/sendgrid", content=body, headers=headers)).status_code == 204
    async with hooked.database.connect() as conn:
        found = (
            await conn.execute(select(stray_returns.c.door, stray_returns.c.kind, stray_returns.c.recipient))
        ).all()
        assert (await message(conn, key)).state == "sent"
    assert list(map(tuple, found)) == [("sendgrid", "bounced", "a foreign one")]


def test_mails_have_no_mark_where_nobody_reports(house: House, hooked: House, key: MessageKey) -> None:
    plain = EmailChannel().composer(Common(sender="Shop <shop@example.com>"))
    mail = email.message_from_bytes(plain.compose(Personal("k", "chen@nowhere.example", "hello", SENT_AT)).wire())
    assert not [name for name in mail.keys() if name.lower().startswith("x-")]  # noqa: SIM118
    assert ReturnPaths.of(replace(house, settings=replace(house.settings, return_path=None, hook_secrets=()))) is None
    assert [name for name in handed_over(hooked, key).keys() if name.lower().startswith("x-")] == [  # noqa: SIM118
        "X-Mailgun-Variables",
        "X-PM-Metadata-hearth",
        "X-SMTPAPI",
        "X-SES-MESSAGE-TAGS",
    ]


@dataclass
class Sns:
    """A server that stands for SNS, and what it was asked."""

    certificate: bytes
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def amazon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sns]:
    """SNS on loopback, with a certificate for its name that this process trusts; the name leads there."""
    tls = rsa.generate_private_key(65537, 2048)
    pem = _certificate(HOST, tls).public_bytes(Encoding.PEM)
    (tmp_path / "cert.pem").write_bytes(pem)
    (tmp_path / "key.pem").write_bytes(tls.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    state = Sns(_certificate("sns.amazonaws.com", AMAZON).public_bytes(Encoding.PEM))

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(f"{self.headers['Host']} {self.path}")
            is_certificate = self.path == CERTIFICATE
            self.send_response(200 if is_certificate else state.status)
            self.send_header("Location", "https://evil.example/")
            self.end_headers()
            self.wfile.write(state.certificate if is_certificate else b"<ConfirmSubscriptionResponse/>")

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    connect = socket.create_connection

    def lead(address: tuple[str, int], *more: Any, **other: Any) -> socket.socket:
        assert address == (HOST, 443)
        return connect(("127.0.0.1", server.server_port), *more, **other)

    monkeypatch.setattr(socket, "create_connection", lead)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    hooks_amazon.certificates.clear()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()
    hooks_amazon.certificates.clear()


def confirmation() -> bytes:
    told = {
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37fb687f5d51e6e2425f004b35da4bd6",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the SubscribeURL.",
        "SubscribeURL": "https://evil.example/?Action=ConfirmSubscription&Token=another",
        "Timestamp": "2026-11-21T14:00:05.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": f"https://{HOST}{CERTIFICATE}",
    }
    names = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    said = "".join(f"{name}\n{told[name]}\n" for name in names)
    told["Signature"] = b64encode(AMAZON.sign(said.encode(), PKCS1v15(), SHA256())).decode()
    return json.dumps(told).encode()


async def test_a_subscription_is_confirmed_at_the_topics_own_host(provider: httpx.AsyncClient, amazon: Sns) -> None:
    body = confirmation()
    assert (await provider.post("/hooks/email/ses", content=body)).status_code == 204
    certificate, asked = amazon.asked
    assert certificate == f"{HOST} {CERTIFICATE}"
    host, _, path = asked.partition(" ")
    assert host == HOST
    assert parse_qs(urlsplit(path).query) == {
        "Action": ["ConfirmSubscription"],
        "TopicArn": [TOPIC],
        "Token": ["2336412f37fb687f5d51e6e2425f004b35da4bd6"],
    }
    assert (await provider.post("/hooks/email/ses", content=body)).status_code == 204
    assert len(amazon.asked) == 3  # the certificate is known


@pytest.mark.parametrize("status", [302, 500])
async def test_a_confirmation_that_did_not_work_is_asked_for_again(
    provider: httpx.AsyncClient, amazon: Sns, status: int
) -> None:
    amazon.status = status
    assert (await provider.post("/hooks/email/ses", content=confirmation())).status_code == 503
    assert len(amazon.asked) == 2  # no redirect is followed


async def test_a_forged_confirmation_is_told_to_nobody(provider: httpx.AsyncClient, amazon: Sns) -> None:
    body = confirmation().replace(b"2336412f", b"00000000")
    assert (await provider.post("/hooks/email/ses", content=body)).status_code == 401
    assert amazon.asked == [f"{HOST} {CERTIFICATE}"]


def _certificate(name: str, key: rsa.RSAPrivateKey) -> x509.Certificate:
    who, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), utc_now()
    made = x509.CertificateBuilder(who, who, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(key, SHA256())

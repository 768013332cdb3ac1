"""What providers report: believed when signed, harmless when repeated, shuffled, late, forged or broken."""

from __future__ import annotations

import hmac
import json
import random
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from channels.email import hooks_amazon
from channels.email.hooks import PROVIDERS, read_hook
from customers.models import suppressed_addresses
from runtime.clock import utc_now
from runtime.errors import Invalid
from runtime.house import House
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people, message
from tests.web.conftest import BASE
from tracking.ledger import MessageKey
from tracking.models import events
from tracking.return_paths import ReturnPaths
from web.app import create_app

PLACE, SECRET = "bounces.example.com", "a secret of the hooks"
PRIVATE = generate_private_key(SECP256R1())
PUBLIC = b64encode(PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
AT = int(SENT_AT.timestamp()) + 60
Post = tuple[dict[str, str], bytes]


def generic(*told: dict[str, Any]) -> Post:
    body = json.dumps({"events": told}).encode()
    return {"X-Hearth-Signature": "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()}, body


def mailgun(told: dict[str, Any], token: str = "token", at: datetime | None = None) -> Post:
    stamp = str(int((at or utc_now()).timestamp()))
    signature = hmac.digest(SECRET.encode(), f"{stamp}{token}".encode(), "sha256").hex()
    sign = {"timestamp": stamp, "token": token, "signature": signature}
    return {}, json.dumps({"signature": sign, "event-data": told}).encode()


def sendgrid(*told: dict[str, Any]) -> Post:
    body = json.dumps(told).encode()
    name = "X-Twilio-Email-Event-Webhook"
    return {
        f"{name}-Timestamp": "1763800000",
        f"{name}-Signature": b64encode(PRIVATE.sign(b"1763800000" + body, ECDSA(SHA256()))).decode(),
    }, body


TOPIC = "arn:aws:sns:eu-west-1:123456789012:returns"
CERTIFICATE = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
AMAZON = rsa.generate_private_key(65537, 2048)
BASIC = {"Authorization": "Basic " + b64encode(b"postmark:" + SECRET.encode()).decode()}


def sns(message: dict[str, Any], **other: str) -> Post:
    """As SNS posts it, signature version 2."""
    told = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": json.dumps(message),
        "Timestamp": "2026-11-21T14:00:05.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": f"https://sns.eu-west-1.amazonaws.com{CERTIFICATE}",
        **other,
    }
    said = "".join(f"{name}\n{told[name]}\n" for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
    kind = SHA1() if told["SignatureVersion"] == "1" else SHA256()
    told["Signature"] = b64encode(AMAZON.sign(said.encode(), PKCS1v15(), kind)).decode()
    return {}, json.dumps(told).encode()


@pytest.fixture(autouse=True)
def amazon() -> Iterator[None]:
    """The certificate of SNS, as if fetched before."""
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")]), utc_now()
    made = x509.CertificateBuilder(name, name, AMAZON.public_key(), 1, now - timedelta(1), now + timedelta(1))
    hooks_amazon.certificates["sns.eu-west-1.amazonaws.com" + CERTIFICATE] = made.sign(AMAZON, SHA256())
    yield
    hooks_amazon.certificates.clear()


@pytest.fixture
def hooked(house: House) -> House:
    secrets = (
        ("generic", SECRET),
        ("mailgun", SECRET),
        ("sendgrid", PUBLIC),
        ("ses", TOPIC),
        ("postmark", f"postmark:{SECRET}"),
    )
    return replace(house, settings=replace(house.settings, return_path=PLACE, hook_secrets=secrets))


@pytest.fixture
async def provider(hooked: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(hooked), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.fixture
async def key(house: House) -> MessageKey:
    async with house.database.begin() as conn:
        return (await make_messages(conn, await make_people(conn, 1), address="chen@nowhere.example"))[0]


@pytest.fixture
def mail_id(hooked: House, key: MessageKey) -> str:
    return f"<{ReturnPaths(hooked.signer, PLACE).mail_key(key)}@example.com>"


async def picture(house: House, key: MessageKey) -> tuple[str, bool, list[str], list[str]]:
    """State, complained, kinds of events, suppressed addresses."""
    async with house.database.connect() as conn:
        row = await message(conn, key)
        kinds = sorted((await conn.execute(select(events.c.kind))).scalars())
        gone = list((await conn.execute(select(suppressed_addresses.c.value))).scalars())
    return row.state, row.complained_at is not None, kinds, gone


NOTHING: tuple[str, bool, list[str], list[str]] = ("sent", False, [], [])
HARD: tuple[str, bool, list[str], list[str]] = ("bounced", False, ["bounced"], ["chen@nowhere.example"])


def of_generic(mail_id: str) -> Post:
    return generic({"event": "bounced", "message_id": mail_id, "status": "5.1.1", "text": "no such user"})


def of_mailgun(mail_id: str) -> Post:
    status = {"code": 550, "message": "5.1.1 The account does not exist"}
    told = {"event": "failed", "severity": "permanent", "timestamp": AT + 0.5, "delivery-status": status}
    return mailgun({**told, "message": {"headers": {"message-id": mail_id.strip("<>")}}})


def of_sendgrid(mail_id: str) -> Post:
    told = {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown", "timestamp": AT}
    return sendgrid({**told, "smtp-id": mail_id}, {"event": "processed", "smtp-id": mail_id}, {"event": []})


def ses_bounce(mail_id: str, kind: str = "Permanent", detail: str = "General", **first: str) -> dict[str, Any]:
    recipient = {"emailAddress": "chen@nowhere.example", **first}
    bounce = {"bounceType": kind, "bounceSubType": detail, "bouncedRecipients": [recipient]}
    mail = {"source": "someone@example.com", "commonHeaders": {"messageId": mail_id}}
    return {"notificationType": "Bounce", "bounce": {**bounce, "timestamp": "2026-11-21T14:00:00.000Z"}, "mail": mail}


def of_ses(mail_id: str) -> Post:
    return sns(ses_bounce(mail_id, action="failed", status="5.1.1", diagnosticCode="smtp; 550 5.1.1 user unknown"))


def of_postmark(mail_id: str) -> Post:
    told = {"RecordType": "Bounce", "Type": "HardBounce", "TypeCode": 1, "BouncedAt": "2026-11-21T14:00:05.9070259Z"}
    named = {"MessageID": "883953f4-6105-42a2-a16a-77a8eac79483", "Metadata": {"hearth": mail_id.strip("<>")}}
    return BASIC, json.dumps({**told, **named, "Details": "smtp;550 5.1.1 unknown user"}).encode()


MAKERS: dict[str, Callable[[str], Post]] = {
    "generic": of_generic,
    "mailgun": of_mailgun,
    "postmark": of_postmark,
    "sendgrid": of_sendgrid,
    "ses": of_ses,
}
SIGNS_BODY = {"generic", "sendgrid"}


@pytest.mark.parametrize("name", MAKERS)
async def test_a_signed_bounce_counts_and_no_other(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str, name: str
) -> None:
    headers, body = MAKERS[name](mail_id)
    url = f"/hooks/email/{name}"
    if headers:
        assert (await provider.post(url, content=body)).status_code == 401
    if name in SIGNS_BODY:
        assert (await provider.post(url, content=body + b" ", headers=headers)).status_code == 401
    forged = re.sub(rb'("[Ss]ignature": ")(?=\w)', rb"\1AAAA", body)
    wrong = {header: value[:-4] + "AAAA" for header, value in headers.items()}
    assert (await provider.post(url, content=forged, headers=wrong)).status_code == 401
    assert await picture(house, key) == NOTHING
    for _ in range(46):
        assert (await provider.post(url, content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == HARD


async def test_reports_of_a_provider_repeated_shuffled_and_late_end_as_once(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str
) -> None:
    """Row 17 over all providers at once: each says the same of one message, 29 h after it left and later."""
    said = [(name, make(mail_id)) for name, make in MAKERS.items()] * 10
    random.Random(17).shuffle(said)
    for name, (headers, body) in said:
        assert (await provider.post(f"/hooks/email/{name}", content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == HARD


def told_by(name: str, kind: str, mail_id: str, at: int) -> Post:
    """That `kind` (delivered, bounced, complained) happened at `at`, as this provider says and signs it, 29 h later."""
    when, late = datetime.fromtimestamp(at, UTC).isoformat(), datetime.now(UTC) - timedelta(hours=29)
    if name == "generic":
        return generic({"event": kind, "message_id": mail_id, "at": when, "status": "5.1.1" * (kind == "bounced")})
    if name == "mailgun":
        failed = {"severity": "permanent", "delivery-status": {"code": 550, "message": "5.1.1 gone"}}
        told = {
            "event": {"bounced": "failed"}.get(kind, kind),
            "timestamp": at,
            **(failed if kind == "bounced" else {}),
        }
        return mailgun({**told, "message": {"headers": {"message-id": mail_id.strip("<>")}}}, f"token {kind}", late)
    if name == "sendgrid":
        words = {"bounced": "bounce", "complained": "spamreport"}
        told = {"event": words.get(kind, kind), "timestamp": at, "hearth": mail_id.strip("<>").partition("@")[0]}
        return sendgrid({**told, **({"type": "bounce", "status": "5.1.1"} if kind == "bounced" else {})})
    if name == "postmark":
        record, moment = {
            "delivered": ("Delivery", "DeliveredAt"),
            "bounced": ("Bounce", "BouncedAt"),
            "complained": ("SpamComplaint", "BouncedAt"),
        }[kind]
        told = {"RecordType": record, moment: when, "Metadata": {"hearth": mail_id.strip("<>")}}
        return BASIC, json.dumps({**told, "Type": "HardBounce" if kind == "bounced" else record}).encode()
    part, word = {"delivered": ("delivery", "Delivery"), "complained": ("complaint", "Complaint")}.get(kind, ("", ""))
    if not part:
        bounce = ses_bounce(mail_id, action="failed", status="5.1.1")
        return sns({**bounce, "bounce": {**bounce["bounce"], "timestamp": when}}, Timestamp=late.isoformat())
    mail = {"source": "someone@example.com", "commonHeaders": {"messageId": mail_id}}
    return sns({"notificationType": word, part: {"timestamp": when}, "mail": mail}, Timestamp=late.isoformat())


@pytest.mark.parametrize("name", MAKERS)
async def test_a_whole_story_that_comes_late_shuffled_and_46_times_ends_as_once(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str, name: str
) -> None:
    """Row 17: delivered, then bounced, then complained, each signed 29 h ago."""
    story = [
        told_by(name, kind, mail_id, AT + after) for after, kind in enumerate(("delivered", "bounced", "complained"))
    ]
    posts = story * 46
    random.Random(17).shuffle(posts)
    for headers, body in posts:
        assert (await provider.post(f"/hooks/email/{name}", content=body, headers=headers)).status_code == 204
    found = await picture(house, key)
    assert found == ("bounced", True, ["bounced", "complained"], ["chen@nowhere.example"])
    async with house.database.connect() as conn:
        row = await message(conn, key)
    assert [at.timestamp() - AT for at in (row.delivered_at, row.failed_at, row.complained_at)] == [0, 1, 2]


async def test_a_signature_of_mailgun_is_used_for_one_report_and_not_for_long(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str
) -> None:
    url, name = "/hooks/email/mailgun", mail_id.strip("<>")
    told = {"event": "delivered", "timestamp": AT, "message": {"headers": {"message-id": name}}}
    for at in (utc_now() - timedelta(hours=31), utc_now() + timedelta(hours=1)):
        _, body = mailgun(told, "stale", at)
        assert (await provider.post(url, content=body)).status_code == 401
    _, body = mailgun({"event": "opened"})
    other = json.loads(body) | {"event-data": {**told, "event": "complained"}}
    assert (await provider.post(url, content=body)).status_code == 204
    assert (await provider.post(url, content=json.dumps(other).encode())).status_code == 401
    assert (await provider.post(url, content=body)).status_code == 204
    assert await picture(house, key) == NOTHING


@pytest.mark.parametrize(
    "other",
    [
        {"TopicArn": TOPIC.replace("123456789012", "210987654321")},
        {"SigningCertURL": f"https://sns.eu-west-1.amazonaws.com.evil.example{CERTIFICATE}"},
        {"SigningCertURL": f"https://127.0.0.1{CERTIFICATE}"},
        {"SigningCertURL": f"http://sns.eu-west-1.amazonaws.com{CERTIFICATE}"},
        {"SigningCertURL": f"https://sns.eu-west-1.amazonaws.com@evil.example{CERTIFICATE}"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=" + CERTIFICATE},
        {"SignatureVersion": "3"},
    ],
)
async def test_only_sns_for_the_own_topic_is_believed(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str, other: dict[str, str]
) -> None:
    """Nothing in a body leads to another host: only the own region's certificate is known here, none can be fetched."""
    headers, body = sns(ses_bounce(mail_id), **other)
    assert (await provider.post("/hooks/email/ses", content=body, headers=headers)).status_code == 401
    assert await picture(house, key) == NOTHING


@pytest.mark.parametrize(
    ("kind", "detail", "first", "wanted"),
    [
        ("Permanent", "NoEmail", {}, "hard"),
        ("Permanent", "General", {"status": "5.7.1"}, "policy"),
        ("Permanent", "OnAccountSuppressionList", {}, "hard"),
        ("Transient", "MailboxFull", {"action": "failed"}, "full"),
        ("Transient", "ContentRejected", {"action": "failed"}, "content"),
        ("Transient", "General", {"action": "failed", "status": "5.1.1"}, "soft"),
        ("Transient", "General", {}, None),
        ("Undetermined", "Undetermined", {"status": "5.1.1"}, "soft"),
    ],
)
def test_bounces_of_ses_have_their_class(kind: str, detail: str, first: dict[str, str], wanted: str | None) -> None:
    for version in ("1", "2"):
        _, body = sns(ses_bounce("<a@b>", kind, detail, **first), SignatureVersion=version)
        assert PROVIDERS["ses"].authentic(TOPIC, {}, body, utc_now())
        assert [event.bounce for event in read_hook(PROVIDERS["ses"], body)] == [wanted][: wanted is not None]


def test_what_postmark_says_of_leaving_and_failing() -> None:
    cases: list[tuple[dict[str, Any], list[tuple[str, str | None]]]] = [
        ({"RecordType": "SpamComplaint", "Type": "SpamComplaint"}, [("complained", None)]),
        ({"RecordType": "Delivery"}, [("delivered", None)]),
        ({"RecordType": "Bounce", "Type": "SoftBounce", "Details": "452 4.2.2 mailbox full"}, [("bounced", "full")]),
        ({"RecordType": "Bounce", "Type": "SoftBounce", "Details": "550 5.1.1 no such user"}, [("bounced", "soft")]),
        ({"RecordType": "Bounce", "Type": "Blocked"}, [("bounced", "policy")]),
        ({"RecordType": "Bounce", "Type": "AutoResponder"}, []),
        (
            {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "ManualSuppression"},
            [("unsubscribed", None)],
        ),
        ({"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "HardBounce"}, []),
        ({"RecordType": "SubscriptionChange", "SuppressSending": False}, []),
    ]
    for told, wanted in cases:
        found = read_hook(PROVIDERS["postmark"], json.dumps(told).encode())
        assert [(event.kind, event.bounce) for event in found] == wanted, told


async def test_without_a_secret_nothing_is_believed(client: httpx.AsyncClient, house: House, key: MessageKey) -> None:
    for name, make in MAKERS.items():
        headers, body = make("<x@y>")
        assert (await client.post(f"/hooks/email/{name}", content=body, headers=headers)).status_code == 401
    assert (await client.post("/hooks/email/nobody", content=b"{}")).status_code == 404
    assert await picture(house, key) == NOTHING


async def test_foreign_ids_change_nothing(
    house: House, hooked: House, provider: httpx.AsyncClient, key: MessageKey
) -> None:
    paths = ReturnPaths(hooked.signer, PLACE)
    foreign = [f"{paths.address(key)}", f"<{paths.mail_key(key)[:-1]}@x>", "<a@b>", ""]
    for foreign_id in foreign:
        headers, body = of_sendgrid(foreign_id)
        assert (await provider.post("/hooks/email/sendgrid", content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == NOTHING
    headers, body = generic({"event": "bounced", "return_path": paths.address(key), "class": "policy"})
    assert (await provider.post("/hooks/email/generic", content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == ("bounced", False, ["bounced"], [])


async def test_repeated_and_shuffled_reports_end_as_once_and_in_order(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str
) -> None:
    told = [
        {"event": "delivered", "message_id": mail_id, "at": "2026-11-20T09:00:05Z"},
        {"event": "bounced", "message_id": mail_id, "at": "2026-11-21T14:00:05Z", "status": "5.1.1"},
        {"event": "complained", "message_id": mail_id, "at": "2026-11-20T17:01:05+08:00"},
        {"event": "opened", "message_id": mail_id},
    ] * 46
    random.Random(17).shuffle(told)
    for start in range(0, len(told), 30):
        headers, body = generic(*told[start : start + 30])
        assert (await provider.post("/hooks/email/generic", content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == ("bounced", True, ["bounced", "complained"], ["chen@nowhere.example"])


async def test_broken_bodies_are_refused(provider: httpx.AsyncClient) -> None:
    for body in (b"", b"[1]", b"{", b'{"events": 7}', b"[" * 100_000):
        headers = {"X-Hearth-Signature": "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()}
        assert (await provider.post("/hooks/email/generic", content=body, headers=headers)).status_code == 422
        assert (await provider.post("/hooks/email/mailgun", content=body)).status_code == 401


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "message", "x"]), inner),
    max_leaves=8,
)
FIELDS = ["event", "at", "timestamp", "code", "status", "class", "message_id", "smtp-id", "event-data", "reason"]


@given(st.sampled_from(sorted(PROVIDERS)), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_stands_in_an_event_is_read(name: str, told: dict[str, Any]) -> None:
    told.setdefault("event", "bounced")
    body = json.dumps({"event-data": told, **told}).encode()
    assert isinstance(read_hook(PROVIDERS[name], body), list)


@given(st.binary(max_size=60))
def test_whatever_a_body_is_it_is_read_or_refused(body: bytes) -> None:
    for each in PROVIDERS.values():
        assert not each.authentic(PUBLIC, {}, body, utc_now())
        try:
            read_hook(each, body)
        except Invalid:
            continue

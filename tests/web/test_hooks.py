"""What providers report: believed when signed, harmless when repeated, shuffled, late, forged or broken."""

from __future__ import annotations

import hmac
import json
import random
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from channels.email.hooks import PROVIDERS, read_hook
from customers.models import suppressed_addresses
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


def mailgun(told: dict[str, Any]) -> Post:
    signature = hmac.digest(SECRET.encode(), b"1763800000" + b"token", "sha256").hex()
    sign = {"timestamp": "1763800000", "token": "token", "signature": signature}
    return {}, json.dumps({"signature": sign, "event-data": told}).encode()


def sendgrid(*told: dict[str, Any]) -> Post:
    body = json.dumps(told).encode()
    name = "X-Twilio-Email-Event-Webhook"
    return {
        f"{name}-Timestamp": "1763800000",
        f"{name}-Signature": b64encode(PRIVATE.sign(b"1763800000" + body, ECDSA(SHA256()))).decode(),
    }, body


@pytest.fixture
def hooked(house: House) -> House:
    secrets = (("generic", SECRET), ("mailgun", SECRET), ("sendgrid", PUBLIC))
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


NOTHING = ("sent", False, [], [])
HARD = ("bounced", False, ["bounced"], ["chen@nowhere.example"])


def of_generic(mail_id: str) -> Post:
    return generic({"event": "bounced", "message_id": mail_id, "status": "5.1.1", "text": "no such user"})


def of_mailgun(mail_id: str) -> Post:
    status = {"code": 550, "message": "5.1.1 The account does not exist"}
    told = {"event": "failed", "severity": "permanent", "timestamp": AT + 0.5, "delivery-status": status}
    return mailgun({**told, "message": {"headers": {"message-id": mail_id.strip("<>")}}})


def of_sendgrid(mail_id: str) -> Post:
    told = {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown", "timestamp": AT}
    return sendgrid({**told, "smtp-id": mail_id}, {"event": "processed", "smtp-id": mail_id}, {"event": []})


MAKERS: dict[str, Callable[[str], Post]] = {"generic": of_generic, "mailgun": of_mailgun, "sendgrid": of_sendgrid}


@pytest.mark.parametrize("name", MAKERS)
async def test_a_signed_bounce_counts_and_no_other(
    house: House, provider: httpx.AsyncClient, key: MessageKey, mail_id: str, name: str
) -> None:
    headers, body = MAKERS[name](mail_id)
    url = f"/hooks/email/{name}"
    if headers:
        assert (await provider.post(url, content=body)).status_code == 401
        assert (await provider.post(url, content=body + b" ", headers=headers)).status_code == 401
    forged = body.replace(b'"signature": "', b'"signature": "0') if name == "mailgun" else body
    wrong = {header: value[:-4] + "AAAA" for header, value in headers.items()}
    assert (await provider.post(url, content=forged, headers=wrong)).status_code == 401
    assert await picture(house, key) == NOTHING
    for _ in range(3):
        assert (await provider.post(url, content=body, headers=headers)).status_code == 204
    assert await picture(house, key) == HARD


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
        assert not each.authentic(PUBLIC, {}, body)
        try:
            read_hook(each, body)
        except Invalid:
            continue

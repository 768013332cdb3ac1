"""Who a public page speaks to: the person behind a message's token or behind a signed link of their own."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import runs, snapshots
from customers.merging import resolve
from customers.models import customers
from runtime.errors import NotFound
from runtime.house import House
from runtime.registry import channel_kinds
from runtime.settings import Settings
from runtime.signing import BadSignature, Purpose, Signer
from tracking.ledger import MessageKey
from tracking.tokens import read_token
from tracking.tracker import standing
from web.i18n import LANGUAGES

PURPOSE = "preferences"
LIFETIME = timedelta(days=400)
_PAYLOAD = struct.Struct(">Q")
_CHINESE = ("zh", "中", "汉", "chinese")


@dataclass(frozen=True)
class Recipient:
    """`message` names the message whose link was followed (of the id to which it went), None for a link of their own;
    `channel` and `address` are that message's. `sender`: the name under which they know us."""

    customer_id: int
    sender: str
    channel: str
    address: str | None
    language: str | None
    message: MessageKey | None = None


def own_token(signer: Signer, customer_id: int, now: datetime) -> str:
    """A token to a customer's preferences that depends on no message."""
    return signer.sign(PURPOSE, _PAYLOAD.pack(customer_id), now + LIFETIME)


async def recipient_of_message(conn: AsyncConnection, house: House, token: str) -> Recipient:
    """Raises NotFound for a token that is not one, or whose message is gone."""
    key = read_token(house.signer, token, Purpose.UNSUBSCRIBE).key
    found = await standing(conn, key)
    customer_id = found.key.customer_id
    language = await _language(conn, customer_id)
    return Recipient(customer_id, await _sender(conn, key, house.settings), found.channel, found.address, language, key)


async def recipient_of_link(conn: AsyncConnection, house: House, token: str, now: datetime) -> Recipient:
    """Raises NotFound for a token that is not one, is too old, or whose customer is gone."""
    try:
        payload = house.signer.verify(PURPOSE, token, now)
    except BadSignature as error:
        raise NotFound(str(error)) from None
    customer_id = await resolve(conn, _PAYLOAD.unpack(payload)[0])
    address = await conn.scalar(select(customers.c.email).where(customers.c.id == customer_id))
    channel = next(name for name, kind in channel_kinds().items() if kind.address_kind == "email")
    language = await _language(conn, customer_id)
    return Recipient(customer_id, sender_name(house.settings.mail_from), channel, address, language)


def sender_name(sender: str | None) -> str:
    """The name in a From header, else its address."""
    name, address = parseaddr(sender or "")
    return name or address or "Hearth"


def spoken(language: str | None) -> str | None:
    """Which of LANGUAGES a record means by its language, None where it says nothing that we speak."""
    said = (language or "").strip().casefold()
    if said.startswith(_CHINESE):
        return "zh"
    return said[:2] if said[:2] in LANGUAGES else None


async def _language(conn: AsyncConnection, customer_id: int) -> str | None:
    return spoken(await conn.scalar(select(customers.c.language).where(customers.c.id == customer_id)))


async def _sender(conn: AsyncConnection, key: MessageKey, settings: Settings) -> str:
    statement = select(snapshots.c.sender).join_from(runs, snapshots, snapshots.c.id == runs.c.snapshot_id)
    return sender_name(await conn.scalar(statement.where(runs.c.id == key.run_id)) or settings.mail_from)

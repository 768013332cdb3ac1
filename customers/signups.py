"""Sign-ups: pending until confirmed by the link that was mailed, then a customer with a consent and its proof.

An address that was asked for is not a customer: it stands in `signups` alone, and goes after some weeks if nobody
confirms. One mailbox is mailed at most once an hour, however it is spelled and through whatever form.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import take_turn
from customers.consents import MARKETING, ConsentEntry, record_consents
from customers.erased import forget_erased
from customers.merging import resolve
from customers.models import customers, identities, signup_turns, signups, suppressed_addresses
from customers.preferences import PAUSED, UNSUBSCRIBED
from customers.results import Consent
from customers.signup_forms import SignupForm
from customers.suppressions import DOMAIN, end_suppressions, in_force
from customers.topics import ALL_CHANNELS, purpose_of
from customers.upsert import upsert
from runtime.errors import Invalid, NotFound
from runtime.registry import channel_kinds
from runtime.settings import Settings
from runtime.signing import BadSignature, Signer
from runtime.workspace import lasting_key

EMAIL = "email"
PURPOSE = "signup"
FORM_SOURCE = "form: "
"""What the ledger's source of a sign-up begins with; the form's name in the console follows."""
LIFETIME = timedelta(days=3)
ONE_MAIL_PER = timedelta(hours=1)
PENDING_KEPT = timedelta(days=30)
_PAYLOAD = struct.Struct(">QQ")
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
_TURNS_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Asked:
    """What somebody sent with a form: the address in its plain form, answers by field, topics that they ticked."""

    address: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    topics: Sequence[str] = ()
    language: str | None = None
    proof: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SignupRef:
    """What a confirmation's token names: one asking, which a later one of the same address replaces."""

    form_id: int
    address: str
    asked_at: datetime


async def ask(conn: AsyncConnection, form: SignupForm, asked: Asked, now: datetime) -> SignupRef | None:
    """Note the sign-up as pending; None where the mailbox had its mail within the hour, which changes nothing."""
    if not await _take_turn(conn, asked.address, now):
        return None
    values = {
        "asked_at": now,
        "confirmed_at": None,
        "customer_id": None,
        "answers": dict(asked.answers),
        "topics": [key for key in asked.topics if key in form.topics],
        "version": form.version,
        "language": asked.language,
        "proof": dict(asked.proof),
    }
    row = insert(signups).values(kind=EMAIL, value=asked.address, form_id=form.id, **values)
    await conn.execute(row.on_conflict_do_update(index_elements=["kind", "value", "form_id"], set_=values))
    return SignupRef(form.id, asked.address, now)


def signup_token(signer: Signer, ref: SignupRef, now: datetime) -> str:
    """The token of the confirmation's link, good until LIFETIME is over."""
    return signer.sign(
        PURPOSE, _PAYLOAD.pack(ref.form_id, _microseconds(ref.asked_at)) + ref.address.encode(), now + LIFETIME
    )


def read_signup_token(signer: Signer, token: str, now: datetime) -> SignupRef:
    """Raises NotFound for one that was not made for this, was changed, or is too old."""
    try:
        payload = signer.verify(PURPOSE, token, now)
    except BadSignature as error:
        raise NotFound(str(error)) from None
    form_id, asked_at = _PAYLOAD.unpack_from(payload)
    return SignupRef(form_id, payload[_PAYLOAD.size :].decode(), _EPOCH + timedelta(microseconds=asked_at))


async def pending(conn: AsyncConnection, ref: SignupRef) -> Row[Any]:
    """The sign-up as it stands, confirmed or not. Raises NotFound once it is gone or was replaced by a later one."""
    row = signups.c
    this = (row.kind == EMAIL, row.value == ref.address, row.form_id == ref.form_id, row.asked_at == ref.asked_at)
    found = (await conn.execute(select(signups).where(*this))).one_or_none()
    if found is None:
        raise NotFound("this sign-up is gone, or there is a later one; use the latest mail")
    return found


async def known_address(conn: AsyncConnection, address: str) -> int | None:
    """The customer whom an address identifies."""
    row = identities.c
    found = await conn.scalar(select(row.customer_id).where(row.kind == EMAIL, row.value == address))
    return None if found is None else await resolve(conn, found)


async def unwelcome(conn: AsyncConnection, address: str, now: datetime) -> bool:
    """Whether nothing may go to the address: it bounced, complained, or it or its domain was suppressed by hand.
    Whoever unsubscribed is welcome back."""
    row = suppressed_addresses.c
    domain = address.rpartition("@")[2]
    meant = or_(and_(row.kind == EMAIL, row.value == address), and_(row.kind == DOMAIN, row.value == domain))
    found = select(row.reason).where(meant, row.reason != UNSUBSCRIBED, in_force(suppressed_addresses, now))
    return (await conn.execute(found.limit(1))).first() is not None


async def confirm(
    conn: AsyncConnection,
    form: SignupForm,
    ref: SignupRef,
    *,
    proof: Mapping[str, Any] | None,
    settings: Settings,
    now: datetime,
) -> int:
    """Let the sign-up count: the customer (made, or known by the address), their consent and topics with the proof.

    `proof` of the confirmation itself; None where none was asked for (single opt-in). Repeating changes nothing.
    Raises NotFound; Invalid where the address belongs to an erased person and nothing was confirmed.
    """
    await take_turn(conn)  # of two presses at once the other finds it confirmed
    row = await pending(conn, ref)
    if row.confirmed_at is not None and row.customer_id is not None:
        return int(row.customer_id)
    if proof is not None:  # their own word, from their own mailbox: they are welcome back
        await forget_erased(conn, [(EMAIL, ref.address)])
    customer_id = await _customer(conn, row, settings, now)
    whole = {"form": form.slug, "asked": {"at": row.asked_at.isoformat(), **row.proof}}
    if proof is not None:
        whole["confirmed"] = {"at": now.isoformat(), **proof}
    mail = [name for name, kind in channel_kinds().items() if kind.address_kind == EMAIL]
    said = [(name, MARKETING) for name in mail]
    said += [(ALL_CHANNELS, purpose_of(key)) for key in row.topics]
    version = f"{form.slug}/{row.version}"
    entries = [
        ConsentEntry(customer_id, Consent(channel, purpose, True, f"{FORM_SOURCE}{form.name}", now, version), whole)
        for channel, purpose in said
    ]
    await record_consents(conn, entries, now=now)
    for reason in (UNSUBSCRIBED, PAUSED):
        await end_suppressions(conn, customer_id, reason, now, channels=mail)
    this = (signups.c.kind == EMAIL, signups.c.value == ref.address, signups.c.form_id == ref.form_id)
    await conn.execute(update(signups).where(*this).values(confirmed_at=now, customer_id=customer_id))
    return customer_id


async def forget_old(conn: AsyncConnection, now: datetime) -> None:
    """Sign-ups that nobody confirmed within PENDING_KEPT go, with the turns of yesterday."""
    late = (signups.c.confirmed_at.is_(None), signups.c.asked_at < now - PENDING_KEPT)
    await conn.execute(delete(signups).where(*late))
    await conn.execute(delete(signup_turns).where(signup_turns.c.at < now - _TURNS_KEPT))


def mailbox(address: str) -> str:
    """The mailbox behind the spellings of an address: without what follows `+`, and without dots where they mean
    nothing."""
    local, _at, domain = address.rpartition("@")
    local = local.partition("+")[0] or local
    return f"{local.replace('.', '') if domain in _DOTLESS else local}@{domain}"


async def _take_turn(conn: AsyncConnection, address: str, now: datetime) -> bool:
    """Whether the mailbox may be written to; of several at once, one."""
    key = await lasting_key(conn, PURPOSE)
    mark = hmac.digest(key, mailbox(address).encode(), hashlib.sha256)
    row = insert(signup_turns).values(hash=mark, at=now)
    taken = row.on_conflict_do_update(
        index_elements=["hash"], set_={"at": now}, where=signup_turns.c.at <= now - ONE_MAIL_PER
    )
    return (await conn.execute(taken.returning(signup_turns.c.at))).first() is not None


async def _customer(conn: AsyncConnection, row: Row[Any], settings: Settings, now: datetime) -> int:
    """Whom the address identifies; what is on record of them stays, gaps are filled."""
    known = await known_address(conn, row.value)
    record: dict[str, Any] = {"email": row.value, **row.answers}
    if row.language:
        record["language"] = row.language
    if known is not None:
        kept = (await conn.execute(select(customers).where(customers.c.id == known))).one()._mapping
        record = {"id": known, **{name: value for name, value in record.items() if kept[name] is None}}
    result = await upsert(conn, "customers", [record], settings=settings, now=now)
    if result.rejected:
        raise Invalid(result.rejected[0].problems)
    return result.ids[0]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)

"""Who must not be contacted, whatever they consented to: people (per channel), addresses (whoever holds them) and whole
domains (each address that ends in `@` and exactly that domain)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Select,
    Table,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, pairs_among, put
from customers.changes import SUPPRESSIONS, note_changed
from customers.models import contact_addresses, suppressed_addresses, suppressions
from runtime.errors import Invalid, Problem
from runtime.registry import channel_kinds
from runtime.text import printable

DOMAIN = "domain"
"""In place of an address kind: what is suppressed is a domain."""

_LONGEST_NOTE = 500


@dataclass(frozen=True)
class Suppression:
    """One person over one channel. `reason`: unsubscribed, bounced, complained, manual, paused. With `address` it is
    about that address of theirs alone; `expires_at` None: until lifted, which `lifted_by` did then."""

    customer_id: int
    channel: str
    reason: str
    at: datetime
    address: str | None = None
    expires_at: datetime | None = None
    detail: str | None = None
    lifted_by: str | None = None
    lift_note: str | None = None


@dataclass(frozen=True)
class SuppressedAddress:
    """An address (plain form, see customers/addresses.py) or, of kind DOMAIN, a domain: nobody is contacted there."""

    kind: str
    value: str
    reason: str
    at: datetime
    expires_at: datetime | None = None
    detail: str | None = None
    lifted_by: str | None = None
    lift_note: str | None = None


async def suppress(conn: AsyncConnection, entries: Sequence[Suppression]) -> None:
    """Suppress people; an entry of the same person, channel and reason is replaced."""
    rows = {(entry.customer_id, entry.channel, entry.reason): vars(entry) for entry in entries}
    await put(conn, suppressions, list(rows.values()))
    await note_changed(conn, SUPPRESSIONS, {entry.customer_id for entry in entries})


async def suppress_addresses(conn: AsyncConnection, entries: Sequence[SuppressedAddress]) -> None:
    """Suppress addresses; an entry of the same address is replaced."""
    rows = {(entry.kind, entry.value): vars(entry) for entry in entries}
    await put(conn, suppressed_addresses, list(rows.values()))
    await _note_holders(conn, rows)


@dataclass(frozen=True)
class Lift:
    """That somebody ends a suppression by hand at `at`: who, and why."""

    by: str
    note: str
    at: datetime

    @property
    def values(self) -> dict[str, Any]:
        """What the row says of it. Raises Invalid without a note."""
        note = " ".join(printable(self.note).split())
        if not note:
            raise Invalid(Problem("note", "say why it is lifted"))
        return {"expires_at": self.at, "lifted_by": self.by, "lift_note": note[:_LONGEST_NOTE]}


async def lift(
    conn: AsyncConnection, customer_id: int, channel: str, lifting: Lift, *, reason: str | None = None
) -> int:
    """End a person's suppressions over `channel` (for `reason`, None: all of them); how many were in force.

    The rows stay, as what once stood. Raises Invalid without a note.
    """
    row = suppressions.c
    ended = update(suppressions).where(
        row.customer_id == customer_id, row.channel == channel, in_force(suppressions, lifting.at)
    )
    ended = ended if reason is None else ended.where(row.reason == reason)
    await note_changed(conn, SUPPRESSIONS, [customer_id])
    return (await conn.execute(ended.values(**lifting.values))).rowcount


async def lift_address(conn: AsyncConnection, kind: str, value: str, lifting: Lift) -> bool:
    """End the suppression of an address; whether one was in force. Raises Invalid without a note."""
    row = suppressed_addresses.c
    ended = update(suppressed_addresses).where(
        row.kind == kind, row.value == value, in_force(suppressed_addresses, lifting.at)
    )
    await _note_holders(conn, [(kind, value)])
    return bool((await conn.execute(ended.values(**lifting.values))).rowcount)


async def end_suppressions(
    conn: AsyncConnection, customer_id: int, reason: str, now: datetime, *, channels: Collection[str] | None = None
) -> None:
    """End what was suppressed at a person's own wish (over `channels`, None: all) by their own word, also where a list
    from elsewhere told it of an address of theirs."""
    kinds = {kind.address_kind for name, kind in channel_kinds().items() if channels is None or name in channels}
    await _end_of_addresses(conn, customer_id, reason, now, kinds)
    row = suppressions.c
    ended = update(suppressions).where(
        row.customer_id == customer_id, row.reason == reason, in_force(suppressions, now)
    )
    if channels is not None:
        ended = ended.where(among(row.channel, channels))
    if (await conn.execute(ended.values(expires_at=now))).rowcount:
        await note_changed(conn, SUPPRESSIONS, [customer_id])


async def _end_of_addresses(
    conn: AsyncConnection, customer_id: int, reason: str, now: datetime, kinds: Collection[str]
) -> None:
    row, held = suppressed_addresses.c, contact_addresses.c
    theirs = select(held.kind, held.value).where(held.customer_id == customer_id, among(held.kind, kinds))
    ended = update(suppressed_addresses).where(
        tuple_(row.kind, row.value).in_(theirs), row.reason == reason, in_force(suppressed_addresses, now)
    )
    values = (await conn.execute(ended.values(expires_at=now).returning(row.kind, row.value))).all()
    if values:
        await _note_holders(conn, [(kind, value) for kind, value in values])


def domain_of(address: ColumnElement[Any]) -> ColumnElement[str]:
    """The domain of an address that has one, else an empty text."""
    return func.split_part(address, "@", 2)


def in_force(table: Table, now: datetime) -> ColumnElement[bool]:
    """Whether a row of `suppressions` or `suppressed_addresses` counts at `now`."""
    return or_(table.c.expires_at.is_(None), table.c.expires_at > literal(now, DateTime(timezone=True)))


async def suppressions_of(conn: AsyncConnection, customer_id: int, now: datetime) -> list[Suppression]:
    """What is in force against a person at `now`, newest first."""
    row = suppressions.c
    query = select(*_columns(suppressions, Suppression)).where(
        row.customer_id == customer_id, in_force(suppressions, now)
    )
    return [Suppression(**found._mapping) for found in await conn.execute(query.order_by(row.at.desc()))]


async def suppressed_addresses_of(conn: AsyncConnection, customer_id: int, now: datetime) -> list[SuppressedAddress]:
    """Which of a person's addresses, or their domains, are suppressed at `now`."""
    row, held = suppressed_addresses.c, contact_addresses.c
    query = (
        select(*_columns(suppressed_addresses, SuppressedAddress))
        .join(contact_addresses, or_(_is_this(held), _is_its_domain(held)))
        .where(held.customer_id == customer_id, in_force(suppressed_addresses, now))
    )
    return [SuppressedAddress(**found._mapping) for found in await conn.execute(query.order_by(row.at.desc()))]


async def suppressed_address(conn: AsyncConnection, kind: str, value: str, now: datetime) -> SuppressedAddress | None:
    """What is in force against an address (plain form) at `now`."""
    row = suppressed_addresses.c
    query = select(*_columns(suppressed_addresses, SuppressedAddress)).where(
        row.kind == kind, row.value == value, in_force(suppressed_addresses, now)
    )
    found = (await conn.execute(query)).one_or_none()
    return None if found is None else SuppressedAddress(**found._mapping)


def suppressed_rows(now: datetime, *, ended: bool = False) -> Select[Any]:
    """Suppressed addresses, for lists: those in force at `now`, or those that ended."""
    known = in_force(suppressed_addresses, now)
    return select(suppressed_addresses).where(~known if ended else known)


def _columns(table: Table, shape: type[Suppression] | type[SuppressedAddress]) -> list[Column[Any]]:
    return [table.c[name] for name in shape.__dataclass_fields__]


def _is_this(held: Any) -> ColumnElement[bool]:
    row = suppressed_addresses.c
    return and_(held.kind == row.kind, held.value == row.value)


def _is_its_domain(held: Any) -> ColumnElement[bool]:
    row = suppressed_addresses.c
    return and_(row.kind == DOMAIN, row.value == domain_of(held.value))


async def _note_holders(conn: AsyncConnection, addresses: Iterable[tuple[str, str]]) -> None:
    """A domain may be very many people's: then everyone is looked at again."""
    given = list(addresses)
    held = contact_addresses.c
    holders = select(held.customer_id).where(pairs_among(held.kind, held.value, given))
    domains = any(kind == DOMAIN for kind, _ in given)
    await note_changed(conn, SUPPRESSIONS, None if domains else holders)

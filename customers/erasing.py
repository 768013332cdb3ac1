"""Erasure: everything about a person goes; keyed hashes of who they were stay, so that no import brings them back."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import LargeBinary, Text, any_, cast, delete, exists, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.addresses import national_digits
from customers.bulk import among, take_turn
from customers.changes import ERASED, EVERYTHING, note_changed
from customers.erased import remember_erased
from customers.merging import resolve, take_alone
from customers.models import (
    contact_addresses,
    customers,
    households,
    identities,
    import_rejects,
    signups,
    suppressed_addresses,
)
from customers.person import Pair
from customers.spread import lookup_tables, person_tables
from runtime.database import metadata


async def erase(conn: AsyncConnection, customer_id: int) -> None:
    """Forget a customer, in every room's tables and under every old id. Raises NotFound."""
    await take_turn(conn)
    customer_id = await resolve(conn, customer_id)
    await take_alone(conn, customer_id)
    pairs = await signs_of(conn, customer_id)
    await remember_erased(conn, pairs)
    ids = await all_ids(conn, customer_id)
    homes = (await conn.execute(select(customers.c.household_id).where(among(customers.c.id, ids)))).scalars().all()
    for table in (*person_tables(), *lookup_tables()):
        await conn.execute(delete(table).where(among(table.c.customer_id, ids)))
    await conn.execute(delete(customers).where(among(customers.c.id, ids)))
    await _forget_traces(conn, pairs, {home for home in homes if home is not None})
    await note_changed(conn, (EVERYTHING, ERASED), ids)


async def signs_of(conn: AsyncConnection, customer_id: int) -> list[Pair]:
    """By what a customer is known and reached: identities and contact addresses."""
    who = select(identities.c.kind, identities.c.value).where(identities.c.customer_id == customer_id)
    where = select(contact_addresses.c.kind, contact_addresses.c.value).where(
        contact_addresses.c.customer_id == customer_id
    )
    return [(kind, value) for kind, value in await conn.execute(who.union(where))]


async def all_ids(conn: AsyncConnection, customer_id: int) -> list[int]:
    """A customer's own id and those that were merged into it."""
    own = or_(customers.c.id == customer_id, customers.c.merged_into == customer_id)
    return list((await conn.execute(select(customers.c.id).where(own))).scalars())


async def _forget_traces(conn: AsyncConnection, pairs: Collection[Pair], homes: Collection[int]) -> None:
    """What is not keyed by customer: rejected lines that name them, their suppressed addresses, sign-ups that were not
    confirmed, texts with their address, an empty household."""
    held = exists().where(
        contact_addresses.c.kind == suppressed_addresses.c.kind,
        contact_addresses.c.value == suppressed_addresses.c.value,
    )
    if pairs:
        key = tuple_(suppressed_addresses.c.kind, suppressed_addresses.c.value)
        await conn.execute(delete(suppressed_addresses).where(key.in_(pairs), ~held))
        await conn.execute(delete(signups).where(tuple_(signups.c.kind, signups.c.value).in_(pairs)))
        await _forget_texts(conn, [value for _, value in pairs if len(value) >= _TELLING])
        cells = cast(import_rejects.c.cells, Text)
        named = any_(literal([_pattern(value) for _, value in pairs], ARRAY(Text)))
        phones = [f"%{national_digits(value)}%" for kind, value in pairs if kind == "phone"]
        written = func.translate(cells, _BETWEEN_DIGITS, "").like(any_(literal(phones, ARRAY(Text))))
        await conn.execute(delete(import_rejects).where(or_(func.lower(cells).like(named), written)))
    lived_in = exists().where(customers.c.household_id == households.c.id)
    await conn.execute(delete(households).where(among(households.c.id, homes), ~lived_in))


async def _forget_texts(conn: AsyncConnection, values: Collection[str]) -> None:
    """Rows of tables that are about nobody in particular, where one of their `traces` holds one of `values`."""
    patterns = literal([f"%{_plain(value)}%" for value in values], ARRAY(Text))
    for table in metadata.sorted_tables:
        for name in table.info.get("traces", ()):
            column = table.c[name]
            written = func.encode(column, "escape") if isinstance(column.type, LargeBinary) else column
            await conn.execute(delete(table).where(func.lower(written).like(any_(patterns))))


_TELLING = 6  # a shorter sign stands in texts of other people too
_BETWEEN_DIGITS = " -.()\u00a0"  # a phone number stands in a file as somebody wrote it


def _pattern(value: str) -> str:
    """A cell that holds `value`, within a list of cells as JSON text."""
    return f'%"{_plain(value)}"%'


def _plain(value: str) -> str:
    """`value` as LIKE takes it literally."""
    return value.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

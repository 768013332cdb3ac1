"""Everything about a person, from every room's tables: what somebody gets who asks for a copy of their data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.erasing import all_ids, signs_of
from customers.merging import resolve
from customers.models import customers, households, suppressed_addresses
from customers.person import Pair
from customers.spread import lookup_tables, person_tables
from customers.suppressions import DOMAIN

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Everything:
    """`tables`: rows by table, as JSON has them, the tables of the person's own record first; empty ones are left
    out. Copies kept for comparing (folded text) are left out too, and what has no value."""

    customer_id: int
    at: datetime
    tables: Mapping[str, Sequence[Row]]

    def to_json(self) -> dict[str, Any]:
        return {"customer_id": self.customer_id, "exported_at": self.at.isoformat(), **self.tables}


async def everything_about(conn: AsyncConnection, customer_id: int, now: datetime) -> Everything:
    """What is kept of a customer and of the records that were merged into theirs. Raises NotFound."""
    customer_id = await resolve(conn, customer_id)
    ids = await all_ids(conn, customer_id)
    found: dict[str, Sequence[Row]] = {"customers": await _rows(conn, customers, "t.id = ANY (:ids)", ids=ids)}
    for table in (*person_tables(), *lookup_tables()):
        found[table.name] = await _rows(conn, table, "t.customer_id = ANY (:ids)", ids=ids)
    pairs = await signs_of(conn, customer_id)
    home = "t.id IN (SELECT household_id FROM customers WHERE id = ANY (:ids))"
    found[households.name] = await _rows(conn, households, home, ids=ids)
    found[suppressed_addresses.name] = await _suppressed(conn, pairs)
    return Everything(customer_id, now, {name: rows for name, rows in found.items() if rows})


async def _suppressed(conn: AsyncConnection, pairs: Sequence[Pair]) -> Sequence[Row]:
    """Whatever is kept of their addresses, and of the domains of these."""
    domains = {(DOMAIN, value.rpartition("@")[2]) for _, value in pairs if "@" in value}
    asked = sorted({*pairs, *domains})
    condition = "(t.kind, t.value) IN (SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])))"
    kinds, values = [kind for kind, _ in asked], [value for _, value in asked]
    return await _rows(conn, suppressed_addresses, condition, kinds=kinds, values=values)


async def _rows(conn: AsyncConnection, table: Table, condition: str, **values: Any) -> list[Row]:
    order = ", ".join(f't."{column.name}"' for column in table.primary_key)
    statement = f'SELECT to_jsonb(t) FROM "{table.name}" t WHERE {condition} ORDER BY {order}'  # noqa: S608 -- our own names
    rows = (await conn.execute(text(statement), values)).scalars()
    return [{name: value for name, value in row.items() if _tells(name, value)} for row in rows]


def _tells(name: str, value: Any) -> bool:
    return value is not None and not name.endswith("_folded")

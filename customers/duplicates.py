"""Customers that may be one person: they share an address to write to or call, or a name and an address to live at.

A hint, not a verdict: a couple shares a phone, a family a name and a door.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Select, Text, cast, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.models import contact_addresses, customers

_SHOWN = 6
NAME = "name"
"""The kind of what is shared, beside the kinds of contact addresses."""


def duplicate_groups() -> Any:
    """Groups, for lists: `key` (unique), `kind` and `value` of what is shared, how many `people`, the first of their
    `ids`."""
    return union_all(_same_address(), _same_name()).subquery("groups")


async def people_in(conn: AsyncConnection, groups: Iterable[Any]) -> dict[int, Any]:
    """Who stands in those rows of groups, by id."""
    ids = sorted({number for group in groups for number in group.ids})
    own = customers.c
    columns = (own.id, own.external_id, own.name, own.city, own.address, own.email, own.phone, own.created_at)
    rows = await conn.execute(select(*columns).where(among(own.id, ids)))
    return {row.id: row for row in rows}


def _same_address() -> Select[Any]:
    row = contact_addresses.c
    grouped = select(*_columns(row.kind, row.value, row.customer_id)).group_by(row.kind, row.value)
    return grouped.having(func.count() > 1)


def _same_name() -> Select[Any]:
    row = customers.c
    shared = func.min(row.name) + literal(", ") + func.min(row.address)
    key = row.name_folded + literal("\n") + row.address_folded
    grouped = select(*_columns(literal(NAME), shared, row.id, key=key)).where(
        row.merged_into.is_(None), row.name_folded != "", row.address_folded != ""
    )
    return grouped.group_by(row.name_folded, row.address_folded).having(func.count() > 1)


def _columns(kind: Any, value: Any, customer_id: Any, *, key: Any = None) -> tuple[Any, ...]:
    ids = func.array_agg(aggregate_order_by(customer_id, customer_id), type_=ARRAY(BigInteger))
    return (
        (cast(kind, Text) + literal(":") + (value if key is None else key)).label("key"),
        cast(kind, Text).label("kind"),
        value.label("value"),
        func.count().label("people"),
        ids[1:_SHOWN].label("ids"),
    )

"""Customers that may be one person: they share a name, and an address to write to, to call or to live at.

A hint, not a verdict: a couple shares a phone, a family a name and a door.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Select, Text, and_, cast, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.models import contact_addresses, customers

_SHOWN = 6
NAME = "name"
"""The kind of what is shared, beside the kinds of contact addresses."""


def duplicate_groups(*, namesakes: bool = True) -> Any:
    """Groups, for lists: `key` (unique), `kind` and `value` of what is shared, how many `people`, the first of their
    `ids`. `namesakes`: they have the same name as well; else whoever shares an address to write to or call.
    """
    found = union_all(_same_name_and_contact(), _same_name_and_home()) if namesakes else _same_contact()
    return found.subquery("groups")


async def people_in(conn: AsyncConnection, groups: Iterable[Any]) -> dict[int, Any]:
    """Who stands in those rows of groups, by id."""
    ids = sorted({number for group in groups for number in group.ids})
    own = customers.c
    columns = (own.id, own.external_id, own.name, own.city, own.address, own.email, own.phone, own.created_at)
    rows = await conn.execute(select(*columns).where(among(own.id, ids)))
    return {row.id: row for row in rows}


def _same_contact() -> Select[Any]:
    row = contact_addresses.c
    key = row.kind + literal(":") + row.value
    grouped = select(*_columns(key, row.kind, row.value, row.customer_id)).group_by(row.kind, row.value)
    return grouped.having(func.count() > 1)


def _same_name_and_contact() -> Select[Any]:
    """Names are looked up for those alone whose address is shared at all."""
    row, own = contact_addresses.c, customers.c
    shared = select(row.kind, row.value).group_by(row.kind, row.value).having(func.count() > 1).subquery("shared")
    key = row.kind + literal(":") + row.value + literal("\n") + own.name_folded
    both = and_(row.kind == shared.c.kind, row.value == shared.c.value)
    grouped = (
        select(*_columns(key, row.kind, row.value, own.id))
        .select_from(shared.join(contact_addresses, both).join(customers, own.id == row.customer_id))
        .where(own.name_folded != "")
    )
    return grouped.group_by(row.kind, row.value, own.name_folded).having(func.count() > 1)


def _same_name_and_home() -> Select[Any]:
    row, one = customers.c, customers.alias("one").c
    shared = (
        select(one.name_folded, one.address_folded)
        .where(one.merged_into.is_(None), one.name_folded != "", one.address_folded != "")
        .group_by(one.name_folded, one.address_folded)
        .having(func.count() > 1)
        .subquery("homes")
    )
    both = and_(row.name_folded == shared.c.name_folded, row.address_folded == shared.c.address_folded)
    key = literal(f"{NAME}:") + row.name_folded + literal("\n") + row.address_folded
    grouped = select(*_columns(key, literal(NAME), func.min(row.address), row.id)).select_from(
        shared.join(customers, both)
    )
    return grouped.where(row.merged_into.is_(None)).group_by(row.name_folded, row.address_folded)


def _columns(key: Any, kind: Any, value: Any, customer_id: Any) -> tuple[Any, ...]:
    ids = func.array_agg(aggregate_order_by(customer_id, customer_id), type_=ARRAY(BigInteger))
    return (
        cast(key, Text).label("key"),
        cast(kind, Text).label("kind"),
        value.label("value"),
        func.count().label("people"),
        ids[1:_SHOWN].label("ids"),
    )

"""Customers as they are read: whole records (API.md), and the statement behind every list of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, exists, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.addresses import read_email, read_phone
from customers.bulk import among
from customers.engagement import ENGAGEMENT
from customers.known import COLUMNS
from customers.merging import resolve
from customers.models import (
    activity,
    appliances,
    contact_addresses,
    customers,
    identities,
    standing_consents,
)
from customers.values import Context
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Problem
from runtime.settings import Settings
from runtime.text import fold

SORTS: Mapping[str, ColumnElement[Any]] = {
    "id": customers.c.id,
    "name": customers.c.name_folded,
    "city": customers.c.city_folded,
    "created_at": customers.c.created_at,
    "orders_count": activity.c.orders_count,
    "total_spent": activity.c.total_spent,
    "last_order_at": activity.c.last_order_at,
    "engagement_score": activity.c.engaged_until,
}
"""What a list of customers can be sorted by; `customers.id` makes the order whole."""

_ACTIVITY = tuple(column for column in activity.c if column.name != "customer_id")
_TIES: Mapping[str, tuple[Table, tuple[str, ...]]] = {
    "identities": (identities, ("kind", "value")),
    "addresses": (contact_addresses, ("kind", "value", "is_primary")),
    "consents": (standing_consents, ("channel", "purpose", "granted", "source", "at")),
    "appliances": (
        appliances,
        (
            *("number", "serial", "category", "brand", "model", "source", "status", "power_watts", "repairs_count"),
            *("purchased_on", "installed_on", "warranty_until", "expires_on", "next_consumable_due_on"),
        ),
    ),
}


@dataclass(frozen=True)
class Search:
    """Which customers a list shows; all that is given must hold. `q` looks in name, external id, e-mail and phone;
    `salesperson` is the code of the one whose households alone may be seen."""

    q: str | None = None
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    salesperson: str | None = None


@dataclass(frozen=True)
class CustomerPage:
    """Whole records; `next` is the cursor of the page after, None on the last."""

    items: Sequence[Mapping[str, Any]]
    next: str | None


async def get_customer(conn: AsyncConnection, customer_id: int, *, salesperson: str | None = None) -> dict[str, Any]:
    """The whole record of a customer, also by an id that was merged away. Raises NotFound, also for a customer of
    another salesperson than `salesperson`."""
    record = (await load_records(conn, [await resolve(conn, customer_id)]))[0]
    if salesperson is not None and record["salesperson"] != salesperson:
        raise NotFound(f"there is no customer {customer_id}")
    return record


async def list_customers(
    conn: AsyncConnection, search: Search, *, settings: Settings, cursor: str | None = None, limit: int = 100
) -> CustomerPage:
    """A page of whole records by id. Raises Invalid for a cursor not made here."""
    if cursor is not None and not (cursor.isdecimal() and cursor.isascii() and len(cursor) < 19):
        raise Invalid(Problem("cursor", "is not one that a list gave out; start again without it"))
    query = find_customers(search, settings, customers.c.id).where(customers.c.id > int(cursor or 0))
    found = (await conn.execute(query.order_by(customers.c.id).limit(limit + 1))).scalars().all()
    records = await load_records(conn, found[:limit])
    return CustomerPage(records, str(found[limit - 1]) if len(found) > limit else None)


def find_customers(search: Search, settings: Settings, *columns: ColumnElement[Any]) -> Select[Any]:
    """A statement over those customers, joined with their activity (`SORTS` may order it); without `columns`, all
    columns of both tables but the folded ones."""
    chosen = columns or (
        *(column for column in customers.c if not column.name.endswith("_folded")),
        *_ACTIVITY,
    )
    query = select(*chosen).join(activity, activity.c.customer_id == customers.c.id)
    return query.where(
        customers.c.merged_into.is_(None), *_conditions(search, Context(settings.zone, settings.country))
    )


async def load_records(conn: AsyncConnection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The whole records of these customers in this order, in a fixed number of statements; unknown ids are left out."""
    own = (customers.c[name] for name in ("id", *COLUMNS, "tags", "attributes", "created_at", "updated_at"))
    rows = await conn.execute(select(*own).where(among(customers.c.id, ids)))
    records = {row["id"]: dict(row) for row in rows.mappings()}
    for name, (table, columns) in _TIES.items():
        for record in records.values():
            record[name] = []
        key = [*table.primary_key]
        picked = select(table.c.customer_id, *(table.c[column] for column in columns))
        for row in (await conn.execute(picked.where(among(table.c.customer_id, ids)).order_by(*key))).mappings():
            records[row["customer_id"]][name].append({column: row[column] for column in columns})
    folds = await conn.execute(select(activity).where(among(activity.c.customer_id, ids)))
    for row in folds.mappings():
        records[row["customer_id"]]["activity"] = _activity(row, utc_now())
    return [records[number] for number in ids if number in records]


def _activity(row: RowMapping, now: datetime) -> dict[str, Any]:
    """The folds as they are told: the score as it is now."""
    found = {column.name: row[column.name] for column in _ACTIVITY}
    return {**found, "engagement_score": ENGAGEMENT.value(found.pop("engaged_until"), now)}


def _conditions(search: Search, context: Context) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.salesperson is not None:
        found.append(customers.c.salesperson == search.salesperson)
    if search.external_id is not None:
        found.append(_identified("external_id", search.external_id.replace("\0", "")))
    if search.email is not None:
        email = _plain(read_email, search.email, context)
        found.append(or_(_identified("email", email), _reached("email", email)))
    if search.phone is not None:
        found.append(_reached("phone", _plain(read_phone, search.phone, context)))
    if search.q:
        found.append(_mentioned(search.q, context))
    return found


def _mentioned(words: str, context: Context) -> ColumnElement[bool]:
    words = words.replace("\0", "")
    folded = fold(words.strip()) or ""
    pattern = folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    phone = _plain(read_phone, words, context)
    return or_(
        customers.c.name_folded.like(f"%{pattern}%"),
        customers.c.email_folded.like(f"{pattern}%"),
        customers.c.external_id == words.strip(),
        _reached("phone", phone),
    )


def _identified(kind: str, value: str) -> ColumnElement[bool]:
    row = identities.c
    return customers.c.id.in_(select(row.customer_id).where(row.kind == kind, row.value == value))


def _reached(kind: str, value: str) -> ColumnElement[bool]:
    row = contact_addresses.c
    held = exists(literal(1)).where(row.customer_id == customers.c.id, row.kind == kind, row.value == value)
    return held.correlate(customers)


def _plain(reader: Any, text: str, context: Context) -> str:
    """The plain form that records hold; what is no such address is looked for as it is, and not found."""
    try:
        return reader(text, context) or ""
    except ValueError:
        return text.replace("\0", "")


async def identity_kinds(conn: AsyncConnection) -> list[str]:
    """The kinds of identities that people have, beside external ids and addresses: from value to value in the index."""
    found = await conn.execute(_IDENTITY_KINDS)
    return [kind for kind in found.scalars() if kind not in ("external_id", "email", "phone")]


_IDENTITY_KINDS = text("""
    WITH RECURSIVE known AS (
        (SELECT kind FROM identities ORDER BY kind LIMIT 1)
        UNION ALL
        SELECT (SELECT i.kind FROM identities i WHERE i.kind > known.kind ORDER BY i.kind LIMIT 1)
        FROM known WHERE known.kind IS NOT NULL
    )
    SELECT kind FROM known WHERE kind IS NOT NULL
""")

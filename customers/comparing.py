"""Two customers side by side: what each has, and what a merge would do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.known import COLUMNS
from customers.models import contact_addresses, customers
from customers.reading import get_customer
from customers.spread import person_tables
from runtime.errors import Conflict

_COUNTED = ("orders", "appliances", "service_visits", "messages", "events", "consents")
_KNOWN_TOO = ("external_id", "email", "phone")  # as identities and contact addresses, which all move
_MOST_ALIKE = 20


@dataclass(frozen=True)
class Difference:
    """A field of which both have another value: a merge keeps `kept`; `lost` is forgotten, or known as a second one."""

    field: str
    kept: Any
    lost: Any

    @property
    def forgotten(self) -> bool:
        return self.field not in _KNOWN_TOO


@dataclass(frozen=True)
class Comparison:
    """Both whole records; `counts`: of each kind of record, how many either has; `gained`: the fields that `keep` lacks
    and gets."""

    keep: Mapping[str, Any]
    lose: Mapping[str, Any]
    counts: Mapping[str, tuple[int, int]]
    differences: Sequence[Difference]
    gained: Sequence[str]


async def compare(conn: AsyncConnection, keep: int, lose: int) -> Comparison:
    """What merging `lose` into `keep` would come to. Raises NotFound, Conflict for one and the same."""
    kept, gone = await get_customer(conn, keep), await get_customer(conn, lose)
    if kept["id"] == gone["id"]:
        raise Conflict(f"customers {keep} and {lose} are one and the same already")
    differences = [
        Difference(name, kept[name], gone[name])
        for name in COLUMNS
        if None not in (kept[name], gone[name]) and kept[name] != gone[name]
    ]
    gained = [name for name in COLUMNS if kept[name] is None and gone[name] is not None]
    for key, value in gone["attributes"].items():
        if key not in kept["attributes"]:
            gained.append(key)
        elif kept["attributes"][key] != value:
            differences.append(Difference(key, kept["attributes"][key], value))
    return Comparison(kept, gone, await _counts(conn, kept["id"], gone["id"]), differences, gained)


async def alike(conn: AsyncConnection, customer_id: int) -> list[int]:
    """Who may be the same person, the likeliest first: shares an address to write to or call, or name and address."""
    own, other = contact_addresses.alias("own"), contact_addresses.alias("other")
    shared = (
        select(other.c.customer_id.label("id"), literal(2).label("weight"))
        .join_from(own, other, and_(other.c.kind == own.c.kind, other.c.value == own.c.value))
        .where(own.c.customer_id == customer_id, other.c.customer_id != customer_id)
    )
    me = customers.alias("me")
    named = (
        select(customers.c.id, literal(1))
        .join_from(me, customers, customers.c.name_folded == me.c.name_folded)
        .where(me.c.id == customer_id, customers.c.id != customer_id, customers.c.merged_into.is_(None), _at_home(me))
    )
    found = shared.union_all(named).subquery("found")
    order = func.sum(found.c.weight).desc()
    rows = await conn.execute(select(found.c.id).group_by(found.c.id).order_by(order, found.c.id).limit(_MOST_ALIKE))
    return list(rows.scalars())


def _at_home(me: Any) -> ColumnElement[bool]:
    """At the same address; or in the same city, where one of the two has no address."""
    there = customers.c
    no_address = or_(me.c.address_folded.is_(None), there.address_folded.is_(None))
    return or_(there.address_folded == me.c.address_folded, and_(no_address, there.city_folded == me.c.city_folded))


async def _counts(conn: AsyncConnection, keep: int, lose: int) -> dict[str, tuple[int, int]]:
    """How many records either has, of the rooms' tables about people that there are."""
    tables = {table.name: table for table in person_tables()}
    found: dict[str, tuple[int, int]] = {}
    for name in _COUNTED:
        if name in tables:
            column = tables[name].c.customer_id
            rows = await conn.execute(select(column, func.count()).where(among(column, [keep, lose])).group_by(column))
            of = {row[0]: row[1] for row in rows}
            found[name] = (of.get(keep, 0), of.get(lose, 0))
    return found

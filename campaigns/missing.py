"""How many people of an audience lack a value that the content shows, counted by one statement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, cast, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience
from campaigns.people import RECORDS, SINGLE, Needs, first_appliance, joined
from customers.models import appliances, customers, orders
from segments.context import EvaluationContext


@dataclass(frozen=True)
class Missing:
    """`people` lack at least one value; `fields` says how many lack each. What stands behind an `{% if %}` or in a
    loop is counted as well: nobody may see it empty."""

    people: int = 0
    fields: dict[str, int] = field(default_factory=dict)


async def count_missing(
    conn: AsyncConnection, stored: audience.Stored, fields: Collection[str], context: EvaluationContext
) -> Missing:
    """For the single values among `fields`; lists (`appliances`, `orders`, tags) are never empty in a wrong way."""
    needs = Needs.of(fields)
    asked = [name for name in sorted(fields) if _is_single(name)]
    if not asked:
        return Missing()
    source = joined(needs)
    columns: dict[str, ColumnElement[Any]] = {}
    for group in ("appliance", "order"):
        if group in needs.groups:
            chosen = await _chosen(conn, group, stored, context)
            source = source.outerjoin(chosen, true())
            columns |= {f"{group}.{name}": chosen.c[name] for name in RECORDS[group]}
    members = (await audience.members(conn, stored, context)).subquery()
    empty = {name: _empty(_column(name, columns)) for name in asked}
    statement = (
        select(
            func.count().filter(or_(*empty.values())).label("people"),
            *(func.count().filter(test).label(f"f{place}") for place, test in enumerate(empty.values())),
        )
        .select_from(source)
        .where(customers.c.id.in_(select(members.c.id)))
    )
    row = (await conn.execute(statement)).one()
    return Missing(row[0], {name: count for name, count in zip(empty, row[1:], strict=True) if count})


def _is_single(name: str) -> bool:
    group, _, rest = name.partition(".")
    if group in ("appliance", "order"):
        return rest in RECORDS[group]
    return group in SINGLE and rest not in ("tags", "attributes") and bool(rest)


def _column(name: str, records: dict[str, ColumnElement[Any]]) -> ColumnElement[Any]:
    if name in records:
        return records[name]
    group, _, rest = name.partition(".")
    first, _, key = rest.partition(".")
    column = SINGLE[group][first]
    return column.op("->>", return_type=Text())(key) if key else column


def _empty(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(column.is_(None), cast(column, Text) == "")


async def _chosen(conn: AsyncConnection, group: str, stored: audience.Stored, context: EvaluationContext) -> FromClause:
    """The appliance or order that the template would see."""
    if group == "order":
        latest = [orders.c.ordered_at.desc(), orders.c.number.desc()]
        own = select(*RECORDS["order"].values()).where(orders.c.customer_id == customers.c.id).order_by(*latest)
        return own.limit(1).lateral("latest_order")
    possible, order = first_appliance(await audience.matched_appliances(conn, stored, context))
    own = select(*RECORDS["appliance"].values()).where(appliances.c.customer_id == customers.c.id, possible)
    return own.order_by(*order).limit(1).lateral("chosen_appliance")

"""Values that stand in the data, with how often: what a form offers while a rule is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.errors import Invalid, Problem
from runtime.registry import Field, Kind
from runtime.text import fold
from segments.predicates import starting_with
from segments.schema import PERSON, load_schema

_OFFERED = (Kind.TEXT, Kind.CODE, Kind.LIST)
_PERSONAL = {"external_id", "name", "email", "phone", "address", "number", "serial"}
"""What tells one person from another is not offered: a list of names helps nobody write a rule."""


@dataclass(frozen=True)
class Suggestion:
    """A value, spelt as most spell it, and how many customers, or records, have it in any spelling."""

    value: str
    count: int


async def suggest(
    conn: AsyncConnection,
    source: str | None,
    field: str,
    prefix: str = "",
    *,
    limit: int = 10,
    salesperson: str | None = None,
) -> list[Suggestion]:
    """The commonest values of a text or list field that begin with `prefix`; none for fields of other kinds.

    `source` None: a field of the customers. Raises Invalid for an unknown source or field.
    """
    schema = await load_schema(conn)
    place = PERSON if source is None else schema.sources.get(source)
    if place is None:
        raise Invalid(Problem("source", f"unknown records {source!r}; there are {', '.join(sorted(schema.sources))}"))
    kind = schema.kind_of(place, field)
    if kind is None:
        raise Invalid(Problem("field", f"unknown field {field!r}"))
    found = schema.field_of(place, field)
    if kind not in _OFFERED or found is None or field in _PERSONAL:
        return []
    folded, shown = _columns(found)
    rows = select(folded.label("folded"), shown.label("shown")).select_from(place.table)
    if place is PERSON:
        rows = rows.where(customers.c.merged_into.is_(None))
    elif salesperson is not None:
        rows = rows.join(customers, customers.c.id == place.person)
    if salesperson is not None:
        rows = rows.where(customers.c.salesperson == salesperson)
    return await _commonest(conn, rows.subquery(), prefix if found.folded is None else fold(prefix) or "", limit)


async def _commonest(conn: AsyncConnection, rows: Any, prefix: str, limit: int) -> list[Suggestion]:
    """Each folded value once, as it is spelt most often."""
    spelt = (
        select(rows.c.folded, rows.c.shown, func.count().label("number"))
        .where(starting_with(rows.c.folded, prefix), rows.c.shown != literal("", Text))
        .group_by(rows.c.folded, rows.c.shown)
        .subquery()
    )
    number = cast(func.sum(spelt.c.number), BigInteger).label("number")
    commonest = aggregate_order_by(spelt.c.shown, spelt.c.number.desc(), spelt.c.shown)
    statement = (
        select(func.array_agg(commonest, type_=ARRAY(Text))[1], number)
        .group_by(spelt.c.folded)
        .order_by(number.desc(), spelt.c.folded)
        .limit(limit)
    )
    return [Suggestion(value, count) for value, count in await conn.execute(statement)]


def _columns(found: Field) -> tuple[Any, Any]:
    """The folded and the shown value; of a list, each of its items."""
    folded = found.column if found.folded is None else found.folded
    if found.kind is not Kind.LIST:
        return folded, found.column
    unfold = func.jsonb_array_elements_text if isinstance(found.column.type, JSONB) else func.unnest
    return cast(unfold(folded), Text), cast(unfold(found.column), Text)

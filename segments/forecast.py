"""Who will enter and leave a segment as time passes, if nothing else happens: what falls due in the coming days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Row, and_, false, func, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.clock import local_date
from runtime.errors import Invalid, Problem
from segments import engine
from segments.bounds import day_end
from segments.compiler import compile_rule
from segments.context import EvaluationContext
from segments.crossing import asks, crossing
from segments.engine import Prepared

LONGEST = 92
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Day:
    """How many enter and leave in the course of a day."""

    day: date
    entered: int
    left: int


@dataclass(frozen=True)
class Forecast:
    """`moves`: whether time changes anything at all; without it there are no `days`."""

    moves: bool
    days: Sequence[Day]

    @property
    def entered(self) -> int:
        return sum(day.entered for day in self.days)

    @property
    def left(self) -> int:
        return sum(day.left for day in self.days)


async def forecast(
    conn: AsyncConnection,
    rule: object,
    context: EvaluationContext,
    *,
    days: int = 30,
    salesperson: str | None = None,
) -> Forecast:
    """The rest of today and the `days` days behind it. Only those who cross on a day are looked at for it.

    Raises Invalid for a rule that cannot be evaluated, and for more than 92 days.
    """
    if not 1 <= days <= LONGEST:
        raise Invalid(Problem("days", f"must be from 1 to {LONGEST}"))
    prepared = await engine.prepare(conn, rule, context)
    if asks(prepared.rule, prepared.evaluation).moves is None:
        return Forecast(False, [])
    today = local_date(context.now, context.timezone)
    found = []
    before = context.now
    async with engine.limited(conn, prepared):
        for day in (today + timedelta(days=number) for number in range(days + 1)):
            after = day_end(day, context.zone) - _INSTANT
            row = await _turned(conn, prepared, before, after, salesperson)
            found.append(Day(day, row.entered if row else 0, row.gone if row else 0))
            before = after
    return Forecast(True, found)


async def _turned(
    conn: AsyncConnection, prepared: Prepared, before: datetime, after: datetime, salesperson: str | None
) -> Row[int, int] | None:
    then, now = (replace(prepared.evaluation, now=moment, few=True) for moment in (before, after))
    crossed = crossing(prepared.rule, then, now)
    if crossed is None:
        return None
    was, is_ = (_known(compile_rule(prepared.rule, each)) for each in (then, now))
    asked = (
        select(was.label("was"), is_.label("is"))
        .where(customers.c.id.in_(crossed), *engine.visible(salesperson))
        .subquery("asked")
    )
    entered = func.count().filter(and_(asked.c["is"], not_(asked.c.was))).label("entered")
    gone = func.count().filter(and_(asked.c.was, not_(asked.c["is"]))).label("gone")
    return (await conn.execute(select(entered, gone).select_from(asked))).one()


def _known(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return func.coalesce(condition, false())

"""What is asked of the matching records as a group: their number, or an aggregate of one field."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, not_

from runtime.registry import Kind
from segments.operators import NEGATED
from segments.predicates import Condition, compare_number, compare_time, holds_for
from segments.tree import Measure

_ZERO = Decimal(0)
_ONE = Decimal(1)


def fits_none(measure: Measure) -> bool:
    """Whether it holds over no records at all."""
    return measure.name in ("count", "sum") and holds_for(_ZERO, measure.op, measure.operand)


def only_whether(measure: Measure) -> bool:
    """Whether it is a count that decides nothing but "some" or "none"."""
    if measure.name != "count":
        return False
    rising = measure.op in ("gt", "gte", "ne")
    falling = measure.op in ("lt", "lte", "eq")
    one_fits = holds_for(_ONE, measure.op, measure.operand)
    return (rising and not fits_none(measure) and one_fits) or (falling and fits_none(measure) and not one_fits)


def measured(measure: Measure, column: ColumnElement[Any] | None, now: datetime, zone: ZoneInfo) -> Condition:
    """Whether a group of at least one record measures as asked; `column` holds the field, without missing ones."""
    if column is None:
        return _numbers(func.count(), measure)
    if measure.name == "avg":  # sum against bound × count: exact, where a quotient would be rounded
        return _numbers(func.sum(column), measure, func.count(column))
    aggregate: ColumnElement[Any] = getattr(func, measure.name)(column)
    if measure.kind is Kind.NUMBER:
        return _numbers(aggregate, measure)
    op = NEGATED.get(measure.op, measure.op)
    holds = compare_time(aggregate, measure.kind, op, measure.operand, now, zone)
    return holds if op == measure.op else not_(holds)


def _numbers(value: ColumnElement[Any], measure: Measure, times: Any = None) -> Condition:
    op = NEGATED.get(measure.op, measure.op)
    holds = compare_number(value, op, measure.operand, times)
    return holds if op == measure.op else not_(holds)

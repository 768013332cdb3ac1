"""The positive operators of each kind of field as SQL over bound values; NULL where the field is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    extract,
    func,
    literal,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from runtime.fading import Fading
from runtime.registry import Field, Kind
from runtime.text import fold
from segments.bounds import Bound, Window, YearDays, anniversary, window
from segments.values import Operand, Value

Condition = ColumnElement[bool]

_LARGEST = 2**63
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def predicate(field: Field, op: str, operand: Operand, now: datetime, zone: ZoneInfo) -> Condition:
    """`field op operand` for an operator that negates no other; NULL where the field is missing (never for `empty`)."""
    if op == "empty":
        return _empty(field)
    if field.kind is Kind.TEXT or field.kind is Kind.CODE:
        return _text(field, op, operand)
    if field.fading is not None:
        return _fading(field.column, faded_bounds(field.fading, op, operand, now))
    if field.kind is Kind.NUMBER or field.kind is Kind.RANK:
        return compare_number(field.column, op, operand)
    if field.kind is Kind.YES_NO:
        return field.column == literal(operand, Boolean)
    if field.kind is Kind.LIST:
        return _list(field, op, _many(operand))
    return compare_time(field.column, field.kind, op, operand, now, zone)


def compare_number(column: ColumnElement[Any], op: str, operand: Operand, times: Any = None) -> Condition:
    """A number against `operand`, each bound multiplied by `times` where given (averages stay exact that way)."""
    values = _many(operand) if isinstance(operand, tuple) else (_one(operand),)
    whole = times is None and isinstance(column.type, Integer) and all(map(_is_whole, values))
    kind: TypeEngine[Any] = BigInteger() if whole else Numeric()  # whole against whole: no row is cast

    def bound(value: Value) -> ColumnElement[Any]:
        number = literal(int(value) if whole else value, kind)  # type: ignore[arg-type]
        return number if times is None else number * times

    if op == "between":
        low, high = values
        return and_(column >= bound(low), column <= bound(high))
    if op == "in":
        if times is None:
            return column == any_(literal([int(value) if whole else value for value in values], ARRAY(kind)))  # type: ignore[arg-type]
        return or_(*(column == bound(value) for value in values))
    compared: Condition = _COMPARISONS[op](column, bound(values[0]))
    return compared


Bounds = Sequence[tuple[datetime, datetime]]


def faded_bounds(fading: Fading, op: str, operand: Operand, now: datetime) -> Bounds:
    """A number operator on a number that fades, as ranges of what is stored: from the first, up to before the last."""
    values = _many(operand) if isinstance(operand, tuple) else (_one(operand),)

    def at_least(value: Value) -> datetime:
        assert isinstance(value, Decimal)
        return fading.at_least(value, now)

    def above(value: Value) -> datetime:
        assert isinstance(value, Decimal)
        return fading.more_than(value, now)

    if op in ("gte", "gt"):
        return [(at_least(values[0]) if op == "gte" else above(values[0]), _LATEST)]
    if op in ("lt", "lte"):
        return [(_EARLIEST, at_least(values[0]) if op == "lt" else above(values[0]))]
    if op == "between":
        return [(at_least(values[0]), above(values[1]))]
    return [(at_least(value), above(value)) for value in values]


def _fading(column: ColumnElement[Any], bounds: Bounds) -> Condition:
    kind = DateTime(timezone=True)
    return or_(*(and_(column >= literal(low, kind), column < literal(high, kind)) for low, high in bounds))


def _is_whole(value: Value) -> bool:
    assert isinstance(value, Decimal)
    return abs(value) < _LARGEST and value == value.to_integral_value()


def compare_time(
    column: ColumnElement[Any], kind: Kind, op: str, operand: Operand, now: datetime, zone: ZoneInfo
) -> Condition:
    """A date or an instant against an absolute time, a duration from now, or its yearly day."""
    if op == "anniversary_within_next":
        day = column if kind is Kind.DATE else cast(func.timezone(zone.key, column), Date)
        return _in_year(day, anniversary(operand, now, zone))
    bound_type = Date() if kind is Kind.DATE else DateTime(timezone=True)
    return _within(column, bound_type, window(kind, op, operand, now, zone))


def starting_with(column: ColumnElement[Any], prefix: str) -> Condition:
    """Text that begins with `prefix`, which is already folded where the column is."""
    return column.like(literal(_escaped(prefix) + "%", Text))


def holds_for(number: Decimal, op: str, operand: Operand) -> bool:
    """What a number operator says of a known number, as `compare_number` would."""
    if op == "between":
        low, high = _many(operand)
        return low <= number <= high  # type: ignore[operator]
    if op in ("in", "not_in"):
        return (number in _many(operand)) is (op == "in")
    if op == "ne":
        return number != _one(operand)
    return bool(_COMPARISONS[op](number, _one(operand)))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": lambda left, right: left == right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
}


def _text(field: Field, op: str, operand: Operand) -> Condition:
    if op == "matches":
        return field.column.regexp_match(literal(_one(operand), Text))
    column = field.column if field.folded is None else field.folded

    def said(value: Value) -> Any:
        return value if field.folded is None else fold(str(value))

    if op == "in":
        return column == any_(literal([said(value) for value in _many(operand)], ARRAY(Text)))
    text = said(_one(operand))
    if op == "eq":
        return column == literal(text, Text)
    before, after = _LIKE[op]
    return column.like(literal(before + _escaped(text) + after, Text))


_LIKE = {"contains": ("%", "%"), "starts_with": ("", "%"), "ends_with": ("%", "")}


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _list(field: Field, op: str, operand: Sequence[Value]) -> Condition:
    column = field.column if field.folded is None else field.folded
    words = literal([value if field.folded is None else fold(str(value)) for value in operand], ARRAY(Text))
    any_sign, all_sign = ("?|", "?&") if isinstance(column.type, JSONB) else ("&&", "@>")
    return column.op(any_sign if op == "has_any" else all_sign, is_comparison=True)(words)


def _empty(field: Field) -> Condition:
    column = field.column
    if field.kind is Kind.TEXT or field.kind is Kind.CODE:
        return or_(column.is_(None), column == literal("", Text))
    if field.kind is Kind.LIST:
        size = func.jsonb_array_length(column) if isinstance(column.type, JSONB) else func.cardinality(column)
        return or_(column.is_(None), size == 0)
    return column.is_(None)


def _within(column: ColumnElement[Any], bound_type: TypeEngine[Any], bounds: Window) -> Condition:
    def bound(value: Bound) -> ColumnElement[Any]:
        return bindparam(None, value, bound_type)

    tests: list[Condition] = []
    if bounds.low is not None:
        low = bound(bounds.low)
        tests.append(column >= low if bounds.low_included else column > low)
    if bounds.high is not None:
        high = bound(bounds.high)
        tests.append(column <= high if bounds.high_included else column < high)
    return and_(*tests)


def _in_year(day: ColumnElement[Any], days: YearDays) -> Condition:
    number = extract("month", day) * 100 + extract("day", day)
    if days.low <= days.high:
        return and_(number >= days.low, number <= days.high)
    return or_(number >= days.low, number <= days.high)


def _one(operand: Operand) -> Value:
    assert operand is not None
    assert not isinstance(operand, tuple)
    return operand


def _many(operand: Operand) -> tuple[Value, ...]:
    assert isinstance(operand, tuple)
    return operand

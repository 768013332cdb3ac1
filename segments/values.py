"""Values of a rule: JSON → typed, or refused with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import isodate

from runtime.registry import Kind
from segments.operators import Takes

PATTERN_LIMIT = 200
_DIGITS = 40
_DAYS = 366_000  # a thousand years
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(?P<offset>[Zz]|[+-]\d{2}:\d{2})?", re.ASCII
)
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_DURATION = re.compile(
    r"P(?=\d|T)(\d{1,6}Y)?(\d{1,6}M)?(\d{1,6}W)?(\d{1,6}D)?"
    r"(T(?=\d)(\d{1,6}H)?(\d{1,6}M)?(\d{1,6}(\.\d{1,6})?S)?)?",
    re.ASCII,
)


class Refused(ValueError):
    """A value that a rule may not hold; `at` is the path below the value (`[1]`), the text says why."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class Duration:
    """An ISO 8601 duration, kept as written; `calendar` and `clock` are its parts before and after the `T`."""

    text: str

    @property
    def calendar(self) -> Any:
        """Years to days: what `isodate` adds to a wall-clock time, clamped to the month's end."""
        head = self.text.partition("T")[0]
        return isodate.parse_duration(head if head != "P" else "P0D")

    @property
    def clock(self) -> Any:
        """Hours to seconds, as they pass."""
        return isodate.parse_duration("PT" + (self.text.partition("T")[2] or "0S"))


Value = str | Decimal | bool | date | datetime | Duration
Operand = Value | tuple[Value, ...] | None
"""None: the operator takes no value. A `date` for an instant means the workspace's whole day."""


def read_operand(kind: Kind, takes: Takes, given: object) -> Operand:
    """The typed value of an operator. Raises Refused."""
    if takes is Takes.PATTERN:
        return _pattern(given)
    if takes is Takes.DURATION:
        return _duration(given, clock=kind is not Kind.DATE)
    if takes is Takes.TRUTH:
        return _truth(given)
    read = _READERS[kind]
    if takes is Takes.ONE:
        return read(given)
    if takes is Takes.PAIR:
        return _pair(read, given)
    return _many(read, given)


def _many(read: Callable[[object], Value], given: object) -> tuple[Value, ...]:
    if not isinstance(given, list):
        raise Refused("must be a list")
    if not given:
        raise Refused("the list is empty")
    return _each(read, given)


def _pair(read: Callable[[object], Value], given: object) -> tuple[Value, ...]:
    if not isinstance(given, list) or len(given) != 2:
        raise Refused("must be a list of two values, [low, high]")
    return _each(read, given)


def _each(read: Callable[[object], Value], given: list[object]) -> tuple[Value, ...]:
    found = []
    for index, item in enumerate(given):
        try:
            found.append(read(item))
        except Refused as refused:
            raise Refused(str(refused), f"[{index}]") from None
    return tuple(found)


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise Refused(f"must be a text, not {_name(given)}")
    if "\0" in given or any("\ud800" <= sign <= "\udfff" for sign in given):
        raise Refused("holds a character that no text can hold (NUL or half a surrogate pair)")
    return given


def _pattern(given: object) -> str:
    pattern = _text(given)
    if len(pattern) > PATTERN_LIMIT:
        raise Refused(f"a pattern has at most {PATTERN_LIMIT} characters, this one {len(pattern)}")
    return pattern


def _number(given: object) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, (int, float, Decimal, str)):
        raise Refused(f"must be a number or a decimal string, not {_name(given)}")
    text = given.strip() if isinstance(given, str) else str(given)
    if isinstance(given, str) and not _DECIMAL.fullmatch(text):
        raise Refused(f"{_short(given)} is not a number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Refused(f"{_short(text)} is not a number") from None
    if not number.is_finite():
        raise Refused("must be a finite number")
    if len(number.as_tuple().digits) > _DIGITS or abs(number.adjusted()) > _DIGITS:
        raise Refused(f"a number has at most {_DIGITS} digits")
    return number


def _date(given: object) -> date:
    if not isinstance(given, str):
        raise Refused(f"must be a date like 2026-11-30, not {_name(given)}")
    if not _DAY.fullmatch(given):
        raise Refused(f"{_short(given)} is not a date like 2026-11-30")
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise Refused(f"there is no day {given}") from None


def _instant(given: object) -> date | datetime:
    if isinstance(given, str) and _DAY.fullmatch(given):
        return _date(given)
    found = _INSTANT.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        shown = _short(given) if isinstance(given, str) else _name(given)
        raise Refused(f"{shown} is not a date or a time like 2026-11-30T09:00:00+08:00")
    if found["offset"] is None:
        raise Refused(f"{found[0]} needs an offset, like {found[0]}+08:00 or {found[0]}Z")
    try:
        return datetime.fromisoformat(found[0].upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(f"there is no time {found[0]}") from None


def _truth(given: object) -> bool:
    if not isinstance(given, bool):
        raise Refused("must be true or false")
    return given


def _duration(given: object, *, clock: bool) -> Duration:
    if not isinstance(given, str) or not _DURATION.fullmatch(given):
        shown = _short(given) if isinstance(given, str) else _name(given)
        raise Refused(f"{shown} is not a duration like P8Y, P90D, P2W or PT6H")
    if "T" in given and not clock:
        raise Refused(f"{given}: a date takes no hours, minutes or seconds")
    found = Duration(given)
    years, months = getattr(found.calendar, "years", 0), getattr(found.calendar, "months", 0)
    days = getattr(found.calendar, "tdelta", found.calendar).days + found.clock.days
    if years * 366 + months * 31 + days > _DAYS:
        raise Refused(f"{given} is longer than a thousand years")
    return found


def _name(given: object) -> str:
    if given is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(given), "an object")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


_READERS: dict[Kind, Callable[[object], Value]] = {
    Kind.TEXT: _text,
    Kind.CODE: _text,
    Kind.NUMBER: _number,
    Kind.RANK: _number,
    Kind.DATE: _date,
    Kind.INSTANT: _instant,
    Kind.YES_NO: _truth,
    Kind.LIST: _text,
}

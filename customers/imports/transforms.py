"""What a mapping can do to a cell before it becomes a field. `TRANSFORMS` is listed by `hearth import --help`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from customers.moments import read_date, read_instant
from customers.values import Context, narrow, read_integer, read_number
from runtime.errors import Invalid, Problem

Step = Callable[[str], Any]
"""Takes a cell without surrounding space, gives the field's value (None: nothing); ValueError says what is wrong."""


@dataclass(frozen=True)
class Transform:
    """`make(argument, rest, context)` gives the step; `rest` holds what stands beside the name, as `else`."""

    make: Callable[[Any, Mapping[str, Any], Context], Step]
    help: str


def make_step(given: Any, context: Context, path: str) -> Step:
    """The step of a mapping's `transform`: a name, `{name: argument}`, or a list of such. Raises Invalid."""
    if isinstance(given, list):
        return _chained([make_step(each, context, f"{path}[{place}]") for place, each in enumerate(given)])
    rest = dict(given) if isinstance(given, dict) else {given: None} if isinstance(given, str) else {}
    name = next((each for each in rest if each in TRANSFORMS), None)
    if name is None or set(rest) - {name, "else"}:
        raise Invalid(Problem(path, f"unknown transform {given!r}; known: {', '.join(TRANSFORMS)}"))
    argument = rest.pop(name)
    try:
        return TRANSFORMS[name].make(argument, rest, context)
    except ValueError as error:
        raise Invalid(Problem(path, f"{name}: {error}")) from None


def _chained(steps: list[Step]) -> Step:
    def run(cell: str) -> Any:
        value: Any = cell
        for step in steps:
            if value is None:
                return None
            value = step(str(value))
        return value

    return run


def _integer(_: Any, __: Mapping[str, Any], context: Context) -> Step:
    return lambda cell: int(cell) if cell.isascii() and cell.isdigit() else read_integer(cell, context)


def _decimal(argument: Any, _: Mapping[str, Any], context: Context) -> Step:
    if argument not in (None, ".", ","):
        raise ValueError('takes the decimal sign, "." or ","')

    def read(cell: str) -> Decimal | None:
        if argument == ",":
            cell = narrow(cell).replace(" ", "").replace("\u202f", "").replace(".", "").replace(",", ".")
        try:
            return read_number(cell, context)
        except InvalidOperation:
            raise ValueError(f"{cell[:40]!r} is not a number") from None

    return read


def _format_of(argument: Any) -> tuple[str | None, str | None]:
    given = {"format": argument} if isinstance(argument, str) or argument is None else argument
    if not isinstance(given, dict) or set(given) - {"format", "zone"}:
        raise ValueError('takes a format like "%d.%m.%Y", or {"format": …, "zone": …}')
    return given.get("format"), given.get("zone")


def _date(argument: Any, _: Mapping[str, Any], context: Context) -> Step:
    form, _zone = _format_of(argument)

    def read(cell: str) -> Any:
        return read_date(cell if form is None else _parsed(cell, form).date(), context)

    return read


def _datetime(argument: Any, _: Mapping[str, Any], context: Context) -> Step:
    form, name = _format_of(argument)
    try:
        within = Context(ZoneInfo(name), context.country) if name else context
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone like Europe/London") from None

    def read(cell: str) -> Any:
        moment = read_instant(cell if form is None else _parsed(cell, form), within)
        return None if moment is None else moment.astimezone(UTC)

    return read


def _parsed(cell: str, form: str) -> datetime:
    try:
        return datetime.strptime(narrow(cell), form)  # noqa: DTZ007 -- the zone follows, where the format has none
    except ValueError:
        raise ValueError(f"{cell[:40]!r} does not fit the format {form!r}") from None


def _map(argument: Any, rest: Mapping[str, Any], _: Context) -> Step:
    if not isinstance(argument, dict):
        raise ValueError('takes a table like {"男": "male", "女": "female"}')

    def read(cell: str) -> Any:
        if cell in argument:
            return argument[cell]
        if "else" in rest:
            return rest["else"]
        raise ValueError(f"{cell[:40]!r} is none of {', '.join(map(repr, list(argument)[:20]))}")

    return read


def _starts_with(argument: Any, rest: Mapping[str, Any], _: Context) -> Step:
    if not isinstance(argument, dict):
        raise ValueError('takes a table like {"C": "cancelled"}, and "else" beside it')
    heads = sorted(argument, key=len, reverse=True)

    def read(cell: str) -> Any:
        found = next((head for head in heads if cell.startswith(head)), None)
        return rest.get("else") if found is None else argument[found]

    return read


def _split(argument: Any, _: Mapping[str, Any], __: Context) -> Step:
    if not isinstance(argument, str) or not argument:
        raise ValueError('takes the sign between the parts, like ";"')
    return lambda cell: [part.strip() for part in cell.split(argument) if part.strip()]


def _plain(step: Step) -> Callable[[Any, Mapping[str, Any], Context], Step]:
    return lambda _argument, _rest, _context: step


TRANSFORMS: Mapping[str, Transform] = {
    "strip": Transform(_plain(str.strip), "without surrounding space (every cell is, already)"),
    "lower": Transform(_plain(str.lower), "in lower case"),
    "upper": Transform(_plain(str.upper), "in upper case"),
    "integer": Transform(_integer, "a whole number: 17850.0 is 17850"),
    "decimal": Transform(_decimal, 'a number; {"decimal": ","} where the comma is the decimal sign'),
    "date": Transform(_date, 'a day; {"date": "%d.%m.%Y"} in that format'),
    "datetime": Transform(_datetime, 'an instant; {"datetime": {"format": "%d/%m/%Y %H:%M", "zone": "Europe/London"}}'),
    "map": Transform(_map, '{"map": {"男": "male", "女": "female"}, "else": null} by a table'),
    "starts_with": Transform(_starts_with, '{"starts_with": {"C": "cancelled"}, "else": "completed"} by how it begins'),
    "split": Transform(_split, '{"split": ";"} into a list'),
}

"""Date anchors: whose day it is. "Every 3 months after purchase", "14 days before the warranty ends", "the birthday".

An anchor is compiled to a rule of the segment language for one day, so that there is one engine for whom a campaign
goes to. The written rule: months and years are counted from the anchor itself, never from one occurrence to the next
(31 January, every month: 28 February, 31 March); where the month that is reached is too short, its last day counts, so
29 February is kept on the 28th in other years. Instants fall on days of the workspace.
Each anchor date meets a day once, and each day is run once: nobody is written to twice for the same date.

Hours ("3 hours after a service visit is done") are counted from the very instant; such a campaign runs every hour,
each run for those whose hour has come: 3 to 4 hours after it, or 3 to 4 hours before it. What is recorded too late
for its hour or day is missed.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem
from runtime.registry import Kind
from segments.schema import PERSON, load_schema
from segments.store import check_rule

PATH = "schedule.anchor"
MOST_TIMES = 240  # of `every`: twenty years of months, and a rule that stays small
MOST_YEARS = 120  # of a span; a longer one would lead to dates before those that are looked for
_EARLIEST = date(1900, 1, 1)
_SPAN = re.compile(r"P(?=[\dT])(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(\d{1,4})H)?", re.ASCII)
_HOUR = timedelta(hours=1)
_KEYS = ("has", "field", "where", "after", "before", "every", "times")


@dataclass(frozen=True)
class Span:
    """Whole months, then whole days; or whole hours alone. `text` as written (ISO 8601: P3M, P14D, PT6H)."""

    text: str
    months: int
    days: int
    hours: int = 0

    @classmethod
    def read(cls, path: str, given: Any) -> Self:
        """Raises Invalid."""
        found = _SPAN.fullmatch(given) if isinstance(given, str) else None
        if found is None:
            raise Invalid(Problem(path, f"{given!r} is not a number of days, weeks, months or years like P14D or P3M"))
        years, months, weeks, days, hours = (int(part or 0) for part in found.groups())
        if not (years or months or weeks or days or hours):
            raise Invalid(Problem(path, "must be longer than nothing; leave it out for the day itself"))
        if hours and (years or months or weeks or days):
            raise Invalid(Problem(path, "hours stand alone, as in PT36H"))
        return cls(given, 12 * years + months, 7 * weeks + days, hours)


@dataclass(frozen=True)
class Anchor:
    """The date `field` of the customer, or of each of their records `has` that `where` describes. A customer's day is
    that date, or a span `after` or `before` it, or (`every`) each multiple of a span after it, the first `times` of
    them; `before` with `every`: that much before each."""

    field: str
    has: str | None = None
    where: Mapping[str, Any] | None = None
    after: Span | None = None
    before: Span | None = None
    every: Span | None = None
    times: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: _plain(value) for name in _KEYS if (value := getattr(self, name)) is not None}

    @property
    def hourly(self) -> bool:
        """Whether it is counted in hours."""
        return any(span is not None and span.hours for span in (self.after, self.before))

    def rule_of(self, occurrence: datetime, timezone: str) -> dict[str, Any]:
        """The rule of those whom the run of that due time is about: whose day it is there, or whose hour."""
        if not self.hourly:
            return self.rule(occurrence.astimezone(ZoneInfo(timezone)).date())
        low = self._hour_of(occurrence)
        ends = [moment.isoformat() for moment in (low, low + _HOUR - timedelta(microseconds=1))]
        return self._of_records({"field": self.field, "op": "between", "value": ends})

    def rule(self, day: date) -> dict[str, Any]:
        """The rule of those whose day `day` is."""
        return self._of_records({"any": [_on(self.field, low, high) for low, high in self.dates(day)]})

    def _of_records(self, dated: dict[str, Any]) -> dict[str, Any]:
        if self.has is None:
            return dated
        return {"has": self.has, "where": {"all": [dated, *([self.where] if self.where else [])]}}

    def _hour_of(self, occurrence: datetime) -> datetime:
        """The beginning of the hour of anchor times that the run is about."""
        if self.after is not None:
            return occurrence - timedelta(hours=self.after.hours) - _HOUR
        assert self.before is not None
        return occurrence + timedelta(hours=self.before.hours)

    def dates(self, day: date) -> list[tuple[date, date]]:
        """The anchor dates that meet `day`, from and to; the latest first."""
        aims = [day]
        if self.before is not None:
            aims = list(_counted_to(day, -self.before.months, -self.before.days))
        if self.every is None:
            return _ranges(one for aim in aims for one in self._once(aim))
        return _ranges(one for aim in aims for one in self._again(aim, self.every))

    def _once(self, aim: date) -> Iterator[date]:
        if self.after is None:
            yield aim
        else:
            yield from _counted_to(aim, self.after.months, self.after.days)

    def _again(self, aim: date, every: Span) -> Iterator[date]:
        for time in range(1, (self.times or MOST_TIMES) + 1):
            yield from _counted_to(aim, time * every.months, time * every.days)


def read_anchor(given: Any) -> Anchor:
    """An anchor as in API.md, checked in itself. Raises Invalid with every Problem found."""
    if not isinstance(given, Mapping):
        raise Invalid(Problem(PATH, 'must be an object like {"field": "birthday", "every": "P1Y"}'))
    problems = [
        Problem(f"{PATH}.{key}", f"unknown field; there are: {', '.join(_KEYS)}")
        for key in sorted(set(given) - {*_KEYS})
    ]
    spans: dict[str, Span] = {}
    for name in ("after", "before", "every"):
        if given.get(name) is not None:
            try:
                spans[name] = Span.read(f"{PATH}.{name}", given[name])
            except Invalid as error:
                problems += error.problems
    problems += [*_shape(given), *_together(spans, given.get("times"))]
    if problems:
        raise Invalid(problems)
    return Anchor(given["field"], given.get("has"), given.get("where"), **spans, times=given.get("times"))


async def check_anchor(conn: AsyncConnection, anchor: Anchor) -> list[Problem]:
    """What is wrong with an anchor in this workspace: its records, its field, its `where`, spans that meet nobody."""
    if problems := list(_too_long(anchor)):
        return problems
    schema = await load_schema(conn)
    source = PERSON if anchor.has is None else schema.sources.get(anchor.has)
    if source is None:
        return [
            Problem(f"{PATH}.has", f"unknown records {anchor.has!r}; there are: {', '.join(sorted(schema.sources))}")
        ]
    kind = schema.kind_of(source, anchor.field)
    if kind not in (Kind.DATE, Kind.INSTANT):
        return [Problem(f"{PATH}.field", f"{anchor.field!r} is no date of {source.name}")]
    if anchor.hourly and kind is Kind.DATE:
        return [Problem(f"{PATH}.field", f"{anchor.field!r} is a day without a time; hours cannot be counted from it")]
    try:
        await check_rule(conn, Anchor(anchor.field, anchor.has, anchor.where).rule(date(2028, 2, 29)))
    except Invalid as error:
        return [Problem(f"{PATH}.where", problem.message) for problem in error.problems]
    return []


def _shape(given: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(given.get("field"), str) or not given["field"]:
        yield Problem(f"{PATH}.field", "is missing: the name of a date, like birthday")
    if given.get("has") is not None and not isinstance(given["has"], str):
        yield Problem(f"{PATH}.has", "must be the name of records, like orders")
    where = given.get("where")
    if where is not None and (not isinstance(where, Mapping) or not given.get("has")):
        yield Problem(f"{PATH}.where", "must be a rule about the records of `has`")


def _together(spans: Mapping[str, Span], times: Any) -> Iterator[Problem]:
    if "after" in spans and len(spans) > 1:
        yield Problem(f"{PATH}.after", "cannot stand beside before or every")
    every = spans.get("every")
    if every is not None and "before" in spans and spans["before"].hours:
        yield Problem(f"{PATH}.before", "must be days, weeks, months or years beside every")
    if every is not None and not every.months and every.days < 7:
        yield Problem(f"{PATH}.every", "must be a week at least")
    if times is None:
        return
    if every is None:
        yield Problem(f"{PATH}.times", "belongs to every")
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_TIMES:
        yield Problem(f"{PATH}.times", f"must be a whole number from 1 to {MOST_TIMES}")


def _too_long(anchor: Anchor) -> Iterator[Problem]:
    for name, span in (("after", anchor.after), ("before", anchor.before), ("every", anchor.every)):
        if span is not None and span.months / 12 + span.days / 365.25 + span.hours / 8766 > MOST_YEARS:
            yield Problem(f"{PATH}.{name}", f"{span.text!r} meets nobody's day; {MOST_YEARS} years at most")


def _counted_to(day: date, months: int, days: int) -> Iterator[date]:
    """The dates from which `months` and then `days` lead to `day` (negative: back in time)."""
    try:
        aim = day - timedelta(days=days)
    except OverflowError:
        return
    year, month = divmod(aim.year * 12 + aim.month - 1 - months, 12)
    if not _EARLIEST.year <= year < date.max.year:
        return
    longest = monthrange(year, month + 1)[1]
    clamped = aim.day == monthrange(aim.year, aim.month)[1]
    for number in range(aim.day, (longest if clamped else min(aim.day, longest)) + 1):
        yield date(year, month + 1, number)


def _ranges(dates: Iterator[date]) -> list[tuple[date, date]]:
    found: list[tuple[date, date]] = []
    for one in sorted(set(dates)):
        if found and one - found[-1][1] == timedelta(days=1):
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return found[::-1]


def _on(field: str, low: date, high: date) -> dict[str, Any]:
    if low == high:
        return {"field": field, "op": "on", "value": low.isoformat()}
    return {"field": field, "op": "between", "value": [low.isoformat(), high.isoformat()]}


def _plain(value: Any) -> Any:
    return value.text if isinstance(value, Span) else value

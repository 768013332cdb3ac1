"""Times of a rule as bounds, computed once per evaluation in the workspace's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from runtime.registry import Kind
from segments.values import Duration, Operand

Bound = date | datetime


@dataclass(frozen=True)
class Window:
    """From `low` to `high`; None: open-ended. Each end is included unless said otherwise."""

    low: Bound | None = None
    high: Bound | None = None
    low_included: bool = True
    high_included: bool = True


@dataclass(frozen=True)
class YearDays:
    """Days of the year as month × 100 + day, `low` to `high`, over the turn of the year where low > high."""

    low: int
    high: int

    def __contains__(self, day: int) -> bool:
        if self.low <= self.high:
            return self.low <= day <= self.high
        return day >= self.low or day <= self.high


EVERY_DAY = YearDays(101, 1231)


def window(kind: Kind, op: str, operand: Operand, now: datetime, zone: ZoneInfo) -> Window:
    """The bounds of a date's or an instant's positive operator other than `anniversary_within_next`."""
    if isinstance(operand, Duration):
        return _relative(kind, op, operand, now, zone)
    return _on_dates(op, operand) if kind is Kind.DATE else _on_instants(op, operand, zone)


def anniversary(operand: Operand, now: datetime, zone: ZoneInfo) -> YearDays:
    """The days of the year from today to today + the duration. 29 February counts as the 28th in other years."""
    assert isinstance(operand, Duration)
    first, last = _today(now, zone), moved(now, operand, zone, +1).astimezone(zone).date()
    if (last - first).days >= 365:
        return EVERY_DAY
    high = _year_day(last)
    if high == 228 and not _leap(last.year):
        high = 229
    return YearDays(_year_day(first), high)


def moved(instant: datetime, by: Duration, zone: ZoneInfo, sign: int) -> datetime:
    """`instant` ± a duration (`sign`): years to days on the zone's wall clock, hours to seconds as they pass."""
    local = instant.astimezone(zone)
    calendar = by.calendar
    if calendar:
        wall = _plus(local.replace(tzinfo=None), calendar, sign)
        local = wall.replace(tzinfo=zone, fold=local.fold)
    clock: timedelta = by.clock
    return local.astimezone(UTC) + sign * clock


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which `day` begins in the zone; where the clock skips midnight, the end of the gap."""
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which the next day begins."""
    return day_start(day + timedelta(days=1), zone) if day < date.max else datetime.max.replace(tzinfo=UTC)


def _relative(kind: Kind, op: str, by: Duration, now: datetime, zone: ZoneInfo) -> Window:
    here = _today(now, zone) if kind is Kind.DATE else now
    if op == "within_next":
        return Window(here, _shifted(kind, by, now, zone, +1))
    back = _shifted(kind, by, now, zone, -1)
    if op == "older_than":
        return Window(high=back)
    assert op == "within_last", op
    return Window(back, here, low_included=False)


def _shifted(kind: Kind, by: Duration, now: datetime, zone: ZoneInfo, sign: int) -> Bound:
    if kind is Kind.DATE:
        day: date = _plus(_today(now, zone), by.calendar, sign)
        return day
    return moved(now, by, zone, sign)


def _on_dates(op: str, operand: Any) -> Window:
    if op == "between":
        return Window(*operand)
    if op == "on":
        return Window(operand, operand)
    if op == "before":
        return Window(high=operand, high_included=False)
    assert op == "after", op
    return Window(low=operand, low_included=False)


def _on_instants(op: str, operand: Any, zone: ZoneInfo) -> Window:
    low, high = operand if op == "between" else (operand, operand)
    starts = low if isinstance(low, datetime) else day_start(low, zone)
    whole_day = not isinstance(high, datetime)
    ends = day_end(high, zone) if whole_day else high
    if op == "before":
        return Window(high=starts, high_included=False)
    if op == "after":
        return Window(low=ends, low_included=whole_day)
    return Window(starts, ends, high_included=not whole_day)


def _today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def _plus(day: Any, calendar: Any, sign: int) -> Any:
    """`isodate`'s sum: months and years first, clamped to the month's end, then days."""
    return day + calendar if sign > 0 else day - calendar


def _year_day(day: date) -> int:
    return day.month * 100 + day.day


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)

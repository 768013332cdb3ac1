"""Days, weeks and months of the calendar, in the workspace's zone. Weeks begin on Monday."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from campaigns.calendar import LONGEST, Span
from runtime.errors import Invalid, Problem

_DAY = timedelta(days=1)
_FIRST, _LAST = date(2000, 1, 1), date(2200, 1, 1)


def month_of(day: date) -> tuple[date, date]:
    """Its first and its last day."""
    return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])


def week_of(day: date) -> tuple[date, date]:
    monday = day - timedelta(days=day.weekday())
    return monday, monday + 6 * _DAY


def span_of(first: date, last: date, zone: ZoneInfo, now: datetime) -> Span:
    """From the beginning of `first` to the end of `last`. Raises Invalid."""
    if not _FIRST <= first < _LAST or not _FIRST <= last < _LAST:
        raise Invalid(Problem("from", f"must lie between {_FIRST} and {_LAST}"))
    if last < first:
        raise Invalid(Problem("to", "must not be before from"))
    if last - first >= LONGEST:
        raise Invalid(Problem("to", f"must be less than {LONGEST.days} days after from"))
    return Span(_midnight(first, zone), _midnight(last + _DAY, zone), now)


def weeks_of(first: date, last: date) -> list[list[date]]:
    """The whole weeks that hold the days."""
    monday, until = week_of(first)[0], week_of(last)[1]
    days = [monday + number * _DAY for number in range((until - monday).days + 1)]
    return [days[start : start + 7] for start in range(0, len(days), 7)]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)

"""Calendar days, weeks and months on the recipient's own clock, as spans of real time. Pure; times come in.

The written rule: caps count by the calendar, not by a rolling window: a day is what the recipient's clock dates alike,
a week is Monday to Sunday, a month the calendar month. People count that way, the count starts afresh at a time that
can be said, and at most twice the cap can fall into any span as long as the period.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]
"""`[from, to)`, in UTC."""

_DAY = timedelta(days=1)


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


PERIODS = tuple(Period)


def span(period: Period, at: datetime, zone: ZoneInfo) -> Span:
    """The period around `at` (aware) on the calendar of `zone`."""
    today = at.astimezone(zone).date()
    if period is Period.DAY:
        first, following = today, today + _DAY
    elif period is Period.WEEK:
        first = today - today.weekday() * _DAY
        following = first + 7 * _DAY
    else:
        first = today.replace(day=1)
        following = (first + 31 * _DAY).replace(day=1)
    return _midnight(first, zone), _midnight(following, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant that the zone's clock dates `day`: 0:00, or the end of a gap that swallows it."""
    return datetime.combine(day, time(), zone).astimezone(UTC)

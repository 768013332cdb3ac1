"""Time comes in as an argument everywhere; only the outermost verbs ask this module for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def local_date(now: datetime, timezone: str) -> date:
    """The calendar day that `now` (aware) falls on in the named zone."""
    return now.astimezone(ZoneInfo(timezone)).date()

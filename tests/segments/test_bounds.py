"""Durations and days as bounds: month ends, leap days, and the clock's turns."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from runtime.registry import Kind
from segments.bounds import EVERY_DAY, Window, YearDays, anniversary, day_end, day_start, moved, window
from segments.values import Duration

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "zone", "duration", "sign", "expected"),
    [
        ("2024-03-31T10:00:00+08:00", SHANGHAI, "P1M", -1, "2024-02-29T10:00:00+08:00"),
        ("2024-02-29T10:00:00+08:00", SHANGHAI, "P1Y", -1, "2023-02-28T10:00:00+08:00"),
        ("2024-02-29T10:00:00+08:00", SHANGHAI, "P4Y", +1, "2028-02-29T10:00:00+08:00"),
        ("2024-01-31T10:00:00+08:00", SHANGHAI, "P1M1D", +1, "2024-03-01T10:00:00+08:00"),
        # a day is a day on the clock, a hour is an hour
        ("2026-03-08T12:00:00-04:00", NEW_YORK, "P1D", -1, "2026-03-07T12:00:00-05:00"),
        ("2026-03-08T12:00:00-04:00", NEW_YORK, "PT24H", -1, "2026-03-07T11:00:00-05:00"),
        ("2026-11-01T12:00:00-05:00", NEW_YORK, "P1DT1H", -1, "2026-10-31T11:00:00-04:00"),
        # a time that the clock skips
        ("2026-03-09T02:30:00-04:00", NEW_YORK, "P1D", -1, "2026-03-08T03:30:00-04:00"),
        # within the repeated hour
        ("2026-11-01T01:30:00-05:00", NEW_YORK, "PT1H", -1, "2026-11-01T01:30:00-04:00"),
    ],
)
def test_moving_an_instant(now: str, zone: ZoneInfo, duration: str, sign: int, expected: str) -> None:
    assert moved(at(now), Duration(duration), zone, sign) == at(expected)


def test_today_is_the_workspaces_day() -> None:
    now = at("2026-11-22T23:30:00+00:00")  # the 23rd in Shanghai
    found = window(Kind.DATE, "within_last", Duration("P1M"), now, SHANGHAI)
    assert found == Window(date(2026, 10, 23), date(2026, 11, 23), low_included=False)


@pytest.mark.parametrize(
    ("zone", "day", "start", "end"),
    [
        ("Asia/Shanghai", "2026-11-22", "2026-11-21T16:00Z", "2026-11-22T16:00Z"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00Z", "2018-11-05T02:00Z"),  # no midnight
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", "2011-12-30T10:00Z"),  # no such day
        ("Asia/Shanghai", "9999-12-31", "9999-12-30T16:00Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_whole_days(zone: str, day: str, start: str, end: str) -> None:
    found = date.fromisoformat(day)
    assert day_start(found, ZoneInfo(zone)).astimezone(UTC) == at(start)
    assert day_end(found, ZoneInfo(zone)).astimezone(UTC) == at(end)


@pytest.mark.parametrize(
    ("now", "duration", "expected"),
    [
        ("2026-11-22T08:00Z", "P14D", YearDays(1122, 1206)),
        ("2026-12-22T08:00Z", "P14D", YearDays(1222, 105)),
        ("2026-02-20T08:00Z", "P8D", YearDays(220, 229)),  # 29 February counts as the 28th …
        ("2028-02-20T08:00Z", "P8D", YearDays(220, 228)),  # … but not in a leap year
        ("2028-02-20T08:00Z", "P9D", YearDays(220, 229)),
        ("2026-03-01T08:00Z", "P7D", YearDays(301, 308)),
        ("2026-11-22T08:00Z", "P1Y", EVERY_DAY),
        ("2024-03-01T08:00Z", "P364D", YearDays(301, 229)),
        ("2026-11-22T08:00Z", "PT20H", YearDays(1122, 1123)),
    ],
)
def test_anniversaries(now: str, duration: str, expected: YearDays) -> None:
    assert anniversary(Duration(duration), at(now), SHANGHAI) == expected

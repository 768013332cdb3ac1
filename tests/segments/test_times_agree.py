"""Bounds of times, computed once per evaluation, beside the reference's reading of each single time: in all zones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.registry import Kind
from segments.bounds import Bound, Window, YearDays, anniversary, window
from segments.operators import OPERATORS, Takes
from segments.values import read_operand
from tests.segments.rule_answers import SOAK
from tests.segments.rule_reference import World, compare_time
from tests.segments.rule_values import CLOCKS, DURATIONS, NOWS, turns

ABSOLUTE = ("before", "after", "on", "between")
RELATIVE = ("older_than", "within_last", "within_next")
ZONES = sorted(name for name in available_timezones() if "/" in name)
TICK = timedelta(microseconds=1)

thorough = settings(max_examples=5_000 if SOAK else 300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

zones = st.sampled_from(ZONES).map(ZoneInfo)
nows = st.sampled_from(NOWS) | st.integers(200_000_000, 2_100_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))
durations = st.sampled_from(DURATIONS) | st.builds(
    "P{}Y{}M{}W{}D".format, *(st.integers(0, most) for most in (9, 30, 9, 400))
)


def within(value: Any, bounds: Window) -> bool:
    """What the SQL of a window says."""
    low = bounds.low is None or value > bounds.low or (bounds.low_included and value == bounds.low)
    return low and (bounds.high is None or value < bounds.high or (bounds.high_included and value == bounds.high))


def around(bounds: Window, step: timedelta) -> list[Any]:
    """The ends of a window and their neighbours."""
    ends = [end for end in (bounds.low, bounds.high) if end is not None]
    return [moved for end in ends for number in (-1, 0, 1) if (moved := _plus(end, step * number)) is not None]


def _plus(end: Bound, step: timedelta) -> Bound | None:
    try:
        return end + step
    except OverflowError:
        return None


@thorough
@given(zones, nows, durations, st.sampled_from(RELATIVE), st.sampled_from(["date", "instant"]))
def test_relative_times(zone: ZoneInfo, now: datetime, duration: str, op: str, kind: str) -> None:
    bounds = window(Kind(kind), op, read_operand(Kind(kind), Takes.DURATION, duration), now, zone)
    for value in around(bounds, TICK if kind == "instant" else timedelta(days=1)):
        assert within(value, bounds) is compare_time(value, op, duration, World(now, zone)), value


@thorough
@given(zones, st.sampled_from(NOWS), st.sampled_from(CLOCKS), st.integers(0, 2**32))
def test_hours_pass_and_days_are_on_the_clock(zone: ZoneInfo, now: datetime, clock: str, seed: int) -> None:
    """Near the turns of the zone's clock."""
    rng = Random(seed)
    day = rng.choice(turns(zone, rng.randrange(1980, 2037)) or [now])
    start = day + timedelta(minutes=rng.randrange(-1_500, 3_000, 15))
    for duration in (clock, f"P1D{clock[clock.index('T') :]}", "P1D", "P1W", "P1M", "P0M"):
        for op in RELATIVE:
            bounds = window(Kind.INSTANT, op, read_operand(Kind.INSTANT, Takes.DURATION, duration), start, zone)
            for value in around(bounds, TICK):
                assert within(value, bounds) is compare_time(value, op, duration, World(start, zone)), value


@thorough
@given(zones, st.dates() | st.dates(date(1970, 1, 1), date(2040, 1, 1)), st.integers(0, 60), st.sampled_from(ABSOLUTE))
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 29), 2, "between")  # the 30th never was
@example(ZoneInfo("America/Sao_Paulo"), date(2018, 11, 4), 0, "on")
@example(ZoneInfo("Asia/Shanghai"), date(9999, 12, 31), 0, "on")
@example(ZoneInfo("America/New_York"), date(1, 1, 1), 0, "before")
def test_a_bare_date_is_the_whole_day(zone: ZoneInfo, day: date, length: int, op: str) -> None:
    last = min(day.toordinal() + length, date.max.toordinal())
    asked: Any = [day.isoformat(), date.fromordinal(last).isoformat()] if op == "between" else day.isoformat()
    takes = OPERATORS[Kind.INSTANT][op]
    bounds = window(Kind.INSTANT, op, read_operand(Kind.INSTANT, takes, asked), NOWS[0], zone)
    for value in around(bounds, TICK):
        inside = datetime.min.replace(tzinfo=UTC) + DAY < value < datetime.max.replace(tzinfo=UTC) - DAY
        if inside:  # else it has no local time
            assert within(value, bounds) is compare_time(value, op, asked, World(NOWS[0], zone)), value


DAY = timedelta(days=1)


@thorough
@given(zones, nows, durations)
@example(ZoneInfo("Asia/Shanghai"), datetime(2027, 2, 20, 8, tzinfo=UTC), "P8D")
@example(ZoneInfo("Asia/Shanghai"), datetime(2027, 2, 28, 8, tzinfo=UTC), "P0D")
@example(ZoneInfo("Asia/Shanghai"), datetime(2024, 2, 29, 8, tzinfo=UTC), "P365D")
@example(ZoneInfo("Asia/Shanghai"), datetime(2024, 3, 1, 8, tzinfo=UTC), "P364D")
@example(ZoneInfo("Asia/Shanghai"), datetime(2023, 3, 1, 8, tzinfo=UTC), "P365D")
def test_anniversaries(zone: ZoneInfo, now: datetime, duration: str) -> None:
    """For days of the year at the ends of the window, of February and of the year."""
    days = anniversary(read_operand(Kind.DATE, Takes.DURATION, duration), now, zone)
    world = World(now, zone)
    ends = [date(2000, *divmod(end, 100)) for end in (days.low, days.high, 228, 229, 301, 101, 1231)]
    for day in {end + timedelta(days=step) for end in ends for step in (-1, 0, 1)}:
        assert _in_year(day, days) is compare_time(day, "anniversary_within_next", duration, world), day


def _in_year(day: date, days: YearDays) -> bool:
    number = day.month * 100 + day.day
    if days.low <= days.high:
        return days.low <= number <= days.high
    return number >= days.low or number <= days.high


@pytest.mark.parametrize("year", [2023, 2024, 2026])
def test_every_day_of_a_year_has_its_anniversaries(year: int) -> None:
    """Each length of a window from each day of a year that is, or is beside, a leap year."""
    zone = ZoneInfo("Asia/Shanghai")
    for number in range(0, 366, 5 if year == 2026 else 3):
        now = datetime(year, 1, 1, 12, tzinfo=zone).astimezone(UTC) + timedelta(days=number)
        for length in (0, 1, 27, 30, 59, 180, 363, 364, 365, 366):
            days = anniversary(read_operand(Kind.DATE, Takes.DURATION, f"P{length}D"), now, zone)
            for day in (date(2000, 2, 28), date(2000, 2, 29), date(2000, 3, 1), date(2000, 12, 31), date(2000, 1, 1)):
                expected = compare_time(day, "anniversary_within_next", f"P{length}D", World(now, zone))
                assert _in_year(day, days) is expected, (now, length, day)

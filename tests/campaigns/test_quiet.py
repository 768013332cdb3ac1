"""Quiet hours and calendar periods against plain readings of the clock, also where it is put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.respect.periods import Period, span
from campaigns.respect.quiet import Window, is_quiet, leaves_room, quiet_spans, read_window, stretch_at

MINUTE = timedelta(minutes=1)
ZONES = [
    "Asia/Shanghai",
    "America/New_York",
    "Europe/Helsinki",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
]
TURNS = [  # of the clocks of those zones in 2026, and an ordinary day
    datetime(2026, 3, 8, 7, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 4, 23, 22, tzinfo=UTC),
    datetime(2026, 10, 29, 21, tzinfo=UTC),
    datetime(2026, 3, 8, 5, tzinfo=UTC),
    datetime(2026, 7, 1, 12, tzinfo=UTC),
]

zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.builds(lambda turn, minutes: turn + minutes * MINUTE, st.sampled_from(TURNS), st.integers(-2000, 2000))
faces = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
windows = st.lists(
    st.builds(Window, faces, faces, st.frozensets(st.integers(1, 7), min_size=1)), min_size=1, max_size=3
).filter(leaves_room)


def inside(window: Window, at: datetime, zone: ZoneInfo) -> bool:
    """Read off the clock: the day on which the window would have begun, and where between its ends we are."""
    local = at.astimezone(zone)
    minutes = local.hour * 60 + local.minute + local.second / 60
    begins = window.begins.hour * 60 + window.begins.minute
    ends = window.ends.hour * 60 + window.ends.minute + (24 * 60 if window.ends <= window.begins else 0)
    yesterday = (local.date() - timedelta(days=1)).isoweekday()
    return any(
        day in window.days and begins <= minutes + later < ends
        for day, later in ((local.isoweekday(), 0), (yesterday, 24 * 60))
    )


def quiet_until(quiet: list[Window], at: datetime, zone: ZoneInfo) -> datetime | None:
    found = stretch_at(quiet, zone, at)
    return found.ends if found.quiet else None


@settings(max_examples=150, deadline=None)
@given(quiet=windows, at=instants, zone=zones)
def test_what_falls_into_quiet_hours_waits_for_the_first_open_minute(
    quiet: list[Window], at: datetime, zone: ZoneInfo
) -> None:
    expected = at
    while any(inside(window, expected, zone) for window in quiet):
        expected += MINUTE
    assert quiet_until(quiet, at, zone) == (None if expected == at else expected)


@settings(max_examples=60, deadline=None)
@given(quiet=windows, since=instants, zone=zones)
def test_the_stretches_of_quiet_are_those_of_the_clock(quiet: list[Window], since: datetime, zone: ZoneInfo) -> None:
    found = list(quiet_spans(quiet, zone, since, since + timedelta(days=2)))
    for number in range(0, 48 * 60, 7):
        at = since + number * MINUTE
        assert any(low <= at < high for low, high in found) is is_quiet(quiet, at, zone), at
    assert all(earlier[1] < later[0] for earlier, later in pairwise(found))


@settings(max_examples=150, deadline=None)
@given(at=instants, zone=zones, later=st.integers(-50 * 24 * 60, 50 * 24 * 60), period=st.sampled_from(Period))
def test_a_period_is_what_the_calendar_on_the_wall_says(
    at: datetime, zone: ZoneInfo, later: int, period: Period
) -> None:
    other = at + later * MINUTE
    days = [moment.astimezone(zone).date() for moment in (at, other)]
    names = {
        Period.DAY: [str(day) for day in days],
        Period.WEEK: [str(day.isocalendar()[:2]) for day in days],
        Period.MONTH: [f"{day:%Y-%m}" for day in days],
    }
    begins, ends = span(period, at, zone)
    assert (begins <= other < ends) is (len(set(names[period])) == 1)


def test_a_night_is_quiet_also_when_the_clocks_change() -> None:
    night = [read_window({"from": "21:00", "to": "08:00"})]
    new_york = ZoneInfo("America/New_York")
    assert quiet_until(night, datetime(2026, 3, 8, 6, tzinfo=UTC), new_york) == datetime(2026, 3, 8, 12, tzinfo=UTC)
    assert quiet_until(night, datetime(2026, 11, 1, 5, tzinfo=UTC), new_york) == datetime(2026, 11, 1, 13, tzinfo=UTC)
    into_the_gap = [read_window({"from": "01:00", "to": "02:30"})]
    at = datetime(2026, 3, 8, 6, 30, tzinfo=UTC)
    assert quiet_until(into_the_gap, at, new_york) == datetime(2026, 3, 8, 7, tzinfo=UTC)


def test_windows_may_follow_each_other_and_hold_for_some_days_only() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    night = read_window({"from": "21:00", "to": "09:00"})
    weekend = read_window({"from": "00:00", "to": "00:00", "days": [6, 7]})
    friday_night = datetime(2026, 11, 20, 22, tzinfo=shanghai)
    assert quiet_until([night, weekend], friday_night, shanghai) == datetime(2026, 11, 23, 9, tzinfo=shanghai)
    assert quiet_until([night, weekend], datetime(2026, 11, 20, 20, 59, tzinfo=shanghai), shanghai) is None


@pytest.mark.parametrize(
    "given",
    [
        None,
        {"from": "20:00"},
        {"from": "20:00", "to": "8:00"},
        {"from": "20:00", "to": "24:00"},
        {"from": "20:00", "to": "08:00", "days": []},
        {"from": "20:00", "to": "08:00", "days": [0]},
        {"from": "20:00", "to": "08:00", "days": [True]},
        {"from": "20:00", "to": "08:00", "until": "09:00"},
    ],
)
def test_what_is_no_window_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"window|time|days"):
        read_window(given)


def test_quiet_round_the_clock_leaves_no_room() -> None:
    day, night = read_window({"from": "08:00", "to": "20:00"}), read_window({"from": "20:00", "to": "08:00"})
    assert not leaves_room([day, night])
    assert leaves_room([day])

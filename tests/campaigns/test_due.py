"""Due times: forms of a schedule, daylight saving, catching up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.due import RECORDED_AT_MOST, next_due, read_schedule, reckon
from runtime.errors import Invalid

ZONES = ("America/New_York", "Europe/Helsinki", "Australia/Lord_Howe", "Asia/Shanghai", "UTC")
CRONS = ("30 2 * * *", "0 3 * * *", "15 1,2 * * *", "*/20 * * * *", "0 9 * * MON", "59 23 L * *", "0 * * * *")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def due_times(cron: str, zone: str, after: str, count: int) -> list[str]:
    found, last = [], at(after)
    for _ in range(count):
        following = next_due(cron, zone, last)
        assert following is not None
        last = following
        found.append(last.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")[5:])
    return found


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # The gap: due at the first instant after it, once.
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-07T12:00Z",
            ["03-08T03:00-04:00", "03-09T02:30-04:00"],
        ),
        (
            "Europe/Helsinki",
            "30 3 * * *",
            "2026-03-28T12:00Z",
            ["03-29T04:00+03:00", "03-30T03:30+03:00"],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T00:00Z",
            ["10-04T02:30+11:00", "10-05T02:15+11:00"],
        ),
        (
            "America/New_York",
            "0,15,30 2 8 3 *",
            "2026-03-08T00:00Z",
            ["03-08T03:00-04:00", "03-08T02:00-05:00"],
        ),
        # The fold: the first time only, also when asked from between the two.
        (
            "America/New_York",
            "30 1 * * *",
            "2026-10-31T12:00Z",
            ["11-01T01:30-04:00", "11-02T01:30-05:00"],
        ),
        ("America/New_York", "30 1 * * *", "2026-11-01T06:10Z", ["11-02T01:30-05:00"]),
        (
            "Europe/Helsinki",
            "30 3 * * *",
            "2026-10-24T12:00Z",
            ["10-25T03:30+03:00", "10-26T03:30+02:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T00:00Z",
            ["04-05T01:45+11:00", "04-06T01:45+10:30"],
        ),
        # Stars follow the real clock through both.
        (
            "America/New_York",
            "*/30 * * * *",
            "2026-11-01T05:10Z",
            [
                "11-01T01:30-04:00",
                "11-01T01:00-05:00",
                "11-01T01:30-05:00",
                "11-01T02:00-05:00",
            ],
        ),
    ],
)
def test_daylight_saving(zone: str, cron: str, after: str, expected: list[str]) -> None:
    assert due_times(cron, zone, after.replace("Z", "+00:00"), len(expected)) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(CRONS),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001
    st.integers(0, 5_000_000),
)
def test_each_due_time_comes_exactly_once_whenever_one_asks(zone: str, cron: str, start: datetime, later: int) -> None:
    """From any moment between two due times the same next one is found: nothing is skipped, nothing comes twice."""
    first = next_due(cron, zone, start.replace(tzinfo=UTC))
    assert first is not None
    second = next_due(cron, zone, first)
    assert second is not None
    assert second > first
    between = first + timedelta(microseconds=later * 1000) % (second - first)
    assert next_due(cron, zone, between) == second


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("now", "catch_up", "start", "missed", "following"),
    [
        ("2026-05-01T09:00:01Z", 6 * HOUR, "2026-05-01T09:00Z", [], "2026-05-02T09:00Z"),
        ("2026-05-01T14:59Z", 6 * HOUR, "2026-05-01T09:00Z", [], "2026-05-02T09:00Z"),
        ("2026-05-01T15:01Z", 6 * HOUR, None, ["2026-05-01T09:00Z"], "2026-05-02T09:00Z"),
        # Down across three due times: the latest is made up for once, the others are missed.
        (
            "2026-05-03T10:00Z",
            6 * HOUR,
            "2026-05-03T09:00Z",
            ["2026-05-01T09:00Z", "2026-05-02T09:00Z"],
            "2026-05-04T09:00Z",
        ),
        (
            "2026-05-03T20:00Z",
            6 * HOUR,
            None,
            ["2026-05-01T09:00Z", "2026-05-02T09:00Z", "2026-05-03T09:00Z"],
            "2026-05-04T09:00Z",
        ),
        ("2026-05-01T09:00:30Z", 0 * HOUR, "2026-05-01T09:00Z", [], "2026-05-02T09:00Z"),
    ],
)
def test_catching_up(now: str, catch_up: timedelta, start: str | None, missed: list[str], following: str) -> None:
    found = reckon("0 9 * * *", "UTC", at("2026-05-01T09:00+00:00"), at(now.replace("Z", "+00:00")), catch_up)
    plain = [moment.strftime("%Y-%m-%dT%H:%MZ") for moment in found.missed]
    assert ([moment.strftime("%Y-%m-%dT%H:%MZ") for moment in found.start], plain) == ([start] if start else [], missed)
    assert found.next == at(following.replace("Z", "+00:00"))


def test_a_single_time_is_made_up_for_or_missed() -> None:
    due = at("2026-05-01T09:00+00:00")
    assert reckon(None, "UTC", due, due + HOUR, 2 * HOUR).start == (due,)
    late = reckon(None, "UTC", due, due + 3 * HOUR, 2 * HOUR)
    assert (late.start, late.missed, late.next) == ((), (due,), None)


def test_what_starts_ahead_of_its_time_is_not_late() -> None:
    """Launched within the lead of several due times: each of them is still to come, for some clock of the world."""
    nine, six, tomorrow = (at(f"2026-05-{when}+00:00") for when in ("01T09:00", "01T18:00", "02T09:00"))
    found = reckon("0 9,18 * * *", "UTC", nine, nine - HOUR / 2, HOUR, lead=14 * HOUR)
    assert (found.start, found.missed, found.next) == ((nine, six), (), tomorrow)
    # Of those that lie behind, still the latest alone.
    found = reckon("0 9,18 * * *", "UTC", nine, six + HOUR / 2, 12 * HOUR, lead=15 * HOUR)
    assert (found.start, found.missed, found.next) == ((six, tomorrow), (nine,), six + timedelta(days=1))


def test_a_long_absence_is_noted_within_bounds() -> None:
    due = at("2025-01-01T00:00+00:00")
    found = reckon("* * * * *", "Asia/Shanghai", due, at("2026-05-01T09:00:20+00:00"), HOUR)
    assert found.start == (at("2026-05-01T09:00+00:00"),)
    assert len(found.missed) == RECORDED_AT_MOST


@pytest.mark.parametrize(
    ("given", "culprit"),
    [
        ("tomorrow", "schedule"),
        ({}, "schedule"),
        ({"at": "soon"}, "schedule.at"),
        ({"at": "2026-05-01T09:00:00"}, "schedule.at"),
        ({"at": "9999-12-31T23:59:59Z"}, "schedule.at"),
        ({"at": "0001-01-01T00:00:00Z"}, "schedule.at"),
        ({"cron": "0 9 * * *"}, "schedule"),
        ({"cron": "0 9 * * *", "timezone": "Mars/Base"}, "schedule.timezone"),
        ({"cron": "0 9 * *", "timezone": "UTC"}, "schedule.cron"),
        ({"cron": "0 25 * * *", "timezone": "UTC"}, "schedule.cron"),
        ({"cron": "0 9 31 2 *", "timezone": "UTC"}, "schedule.cron"),
        ({"at": "2026-05-01T09:00:00Z", "repeat": True}, "schedule.repeat"),
    ],
)
def test_a_bad_schedule_names_its_culprit(given: Any, culprit: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_schedule(given)
    assert [problem.path for problem in caught.value.problems] == [culprit]

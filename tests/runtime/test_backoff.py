"""Pauses double up to the longest, and end with the tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runtime.backoff import Backoff

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_pauses_double_and_end() -> None:
    backoff = Backoff(tries=6, base=timedelta(seconds=10), longest=timedelta(minutes=1))
    pauses = [backoff.next_at(tried, NOW) for tried in range(1, 7)]
    assert pauses == [*(NOW + timedelta(seconds=seconds) for seconds in (10, 20, 40, 60, 60)), None]


def test_without_limit_it_never_ends() -> None:
    assert Backoff(None, timedelta(seconds=1)).next_at(5000, NOW) == NOW + timedelta(hours=1)

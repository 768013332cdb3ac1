"""However many workers share a rate, and however they stumble, no few seconds see more messages than it allows."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.dispatch.buckets import AHEAD, SOONEST, WINDOW, Grant, Kind, Tap, grant
from campaigns.ranks import Rank
from runtime.database import Database


@dataclass
class Row:
    """The bucket's row, as the SQL of `grant` treats it."""

    next_at: float = 0.0

    def give(self, tap: Tap, most: int, now: float) -> Grant:
        if self.next_at > now + AHEAD[tap.rank]:
            return Grant(0, max(SOONEST, self.next_at - now - AHEAD[tap.rank]))
        count = tap.wanted(most)
        first = max(self.next_at, now)
        self.next_at = first + count * tap.spacing
        return Grant(count, first - now)


@dataclass
class Worker:
    """Sends as fast as it may, but for times when it does not get to it."""

    tap: Tap
    rng: random.Random
    stumbles: float
    sent: list[float] = field(default_factory=list)

    def step(self, row: Row, now: float) -> float:
        """What it does at `now`; when it comes back."""
        waits = self.tap.waits(now)
        if waits is None:
            self.tap.fill(row.give(self.tap, 1_000, now), now + self.rng.uniform(0, 0.01))
        elif self.tap.ready(now):
            self.tap.take()
            self.sent.append(now)
        pause = max(self.tap.waits(now) or 0.0, 1e-4)
        if self.rng.random() < self.stumbles:
            pause += self.rng.expovariate(2.0)
        return now + pause


def simulate(rate: float, workers: int, stumbles: float, seconds: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    row = Row()
    team = [Worker(Tap(Kind.SENDER, "x", rate, Rank.CAMPAIGN), rng, stumbles) for _ in range(workers)]
    clock = [rng.uniform(0, 1) for _ in team]
    while min(clock) < seconds:
        turn = clock.index(min(clock))
        clock[turn] = team[turn].step(row, clock[turn])
    return sorted(at for worker in team for at in worker.sent)


def most_within(times: list[float], window: float) -> int:
    first = most = 0
    for last, at in enumerate(times):
        while at - times[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(
    rate=st.floats(0.5, 400),
    workers=st.integers(1, 6),
    stumbles=st.sampled_from([0.0, 0.01, 0.2]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_never_above_the_rate(rate: float, workers: int, stumbles: float, seed: int) -> None:
    times = simulate(rate, workers, stumbles, min(20.0, 4_000 / rate), seed)
    assert most_within(times, WINDOW) <= rate * WINDOW + 2  # a window may touch a message at both of its ends


def test_workers_that_do_not_stumble_use_nearly_all_of_it() -> None:
    for workers in (1, 5):
        times = simulate(100.0, workers, 0.0, 20.0, seed=1)
        assert len(times) > 0.93 * 100.0 * 20.0


def test_a_process_that_was_held_up_does_not_make_up_for_it() -> None:
    tap = Tap(Kind.SENDER, "x", 100.0, Rank.CAMPAIGN)
    tap.fill(Grant(50, 0.0), 0.0)
    assert tap.ready(0.3)
    taken = 0
    while tap.ready(0.3):
        tap.take()
        taken += 1
    assert taken <= 6
    assert not tap.ready(5.0)
    assert tap.waits(5.0) is None


def test_a_changed_rate_counts_at_once() -> None:
    tap = Tap(Kind.SENDER, "x", 0.01, Rank.CAMPAIGN)
    tap.fill(Grant(1, 50.0), 0.0)
    tap.change(10.0)
    assert tap.waits(0.0) is None


async def test_the_database_gives_each_slot_once(db: Database) -> None:
    """Several workers at once: the spans that they are granted do not overlap, and reach only so far ahead."""
    tap = Tap(Kind.DOMAIN, "example.com", 40.0, Rank.CAMPAIGN)

    async def ask() -> tuple[float, Grant]:
        async with db.begin() as conn:
            granted = await grant(conn, tap, 20)
            return time.monotonic(), granted

    answers = await asyncio.gather(*(ask() for _ in range(8)))
    spans = sorted((at + given.wait, given.count * tap.spacing) for at, given in answers if given.count)
    assert 2 <= len(spans) <= 4  # half a second each, one second ahead
    for (first, length), (following, _) in pairwise(spans):
        assert following >= first + length - 0.05
    refused = [given.wait for _, given in answers if not given.count]
    assert refused
    assert all(0 < wait < 2 for wait in refused)


@pytest.mark.parametrize("rank", [Rank.JOURNEY, Rank.TRANSACTIONAL])
async def test_a_higher_rank_gets_slots_that_lower_ones_are_refused(db: Database, rank: Rank) -> None:
    low = Tap(Kind.SENDER, "news@x.example", 10.0, Rank.CAMPAIGN)
    high = Tap(Kind.SENDER, "news@x.example", 10.0, rank)
    async with db.begin() as conn:
        while (await grant(conn, low, 100)).count:
            pass
        granted = await grant(conn, high, 1)
        assert granted.count == 1
        assert granted.wait < 3
        assert (await grant(conn, low, 1)).count == 0

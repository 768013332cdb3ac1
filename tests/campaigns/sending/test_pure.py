"""Warm-up plans, pauses of domains, thresholds, ranks: on a clock and a chance of our own."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.dispatch.domains import Domain
from campaigns.dispatch.underway import Underway
from campaigns.ranks import TURNS, Rank, priority, turn_of
from campaigns.sending.congestion import FIRST, HEEDED, JITTER, LONGEST, PATIENCE, asks_for_a_pause, pause_of
from campaigns.sending.providers import PROVIDERS, domain_of
from campaigns.sending.thresholds import Evidence, Thresholds, judge
from campaigns.sending.warmup import WarmUp, read_warm_up
from channels.contract import ChannelError
from channels.email.replies import Phase, Reply, refusal
from runtime.errors import Invalid
from tracking.ledger import Due, MessageKey
from tracking.states import State

TODAY = date(2026, 11, 22)
BUSY = refusal(Reply(421, "4.7.0 try again later"), Phase.RECIPIENT)


@given(
    first=st.integers(1, 10_000), factor=st.floats(1.01, 10), enough=st.integers(1, 10**8), day=st.integers(-5, 20_000)
)
def test_a_growing_plan_grows_until_it_is_over(first: int, factor: float, enough: int, day: int) -> None:
    plan = WarmUp(TODAY, first=first, factor=factor, enough=enough)
    today, tomorrow = (plan.ceiling(TODAY + timedelta(days=day + later)) for later in (0, 1))
    assert today is None or first <= today <= enough
    assert tomorrow is None or (today is not None and today <= tomorrow)
    assert WarmUp.from_json(plan.to_json()) == plan


def test_a_listed_plan_has_its_days_and_then_no_ceiling() -> None:
    plan = read_warm_up({"days": [50, 100, 500], "since": "2026-11-22"}, today=TODAY)
    assert plan is not None
    found = [plan.ceiling(TODAY + timedelta(days=day)) for day in (-1, 0, 1, 2, 3, 400)]
    assert found == [50, 50, 100, 500, None, None]


def test_a_plan_of_the_usual_kind() -> None:
    plan = read_warm_up({"first": 200, "factor": 2, "enough": 1_000}, today=TODAY)
    assert plan is not None
    assert [plan.ceiling(TODAY + timedelta(days=day)) for day in range(4)] == [200, 400, 800, None]


BAD_PLANS = {
    "no object": (5, "warm_up"),
    "nothing in it": ({}, "warm_up"),
    "both": ({"days": [1], "first": 1, "factor": 2, "enough": 3}, "warm_up"),
    "an empty list": ({"days": []}, "warm_up.days"),
    "a day of nothing": ({"days": [5, 0]}, "warm_up.days[1]"),
    "shrinking": ({"first": 5, "factor": 0.5, "enough": 9}, "warm_up.factor"),
    "not a day": ({"days": [5], "since": "tomorrow"}, "warm_up.since"),
    "over before it begins": ({"first": 5_000, "factor": 2, "enough": 200}, "warm_up.enough"),
    "a yes": ({"first": True, "factor": 2, "enough": 9}, "warm_up.first"),
}


@pytest.mark.parametrize(("given_plan", "culprit"), BAD_PLANS.values(), ids=BAD_PLANS)
def test_a_bad_plan_is_refused_by_name(given_plan: Any, culprit: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_warm_up(given_plan, today=TODAY)
    assert [problem.path for problem in caught.value.problems] == [culprit]


REPLIES = {
    "busy": (421, "too busy", Phase.RECIPIENT, True),
    "busy after the data": (421, "4.3.2 closing", Phase.FINAL_DOT, True),
    "throttled": (451, "4.7.28 rate limited", Phase.FINAL_DOT, True),
    "not even a status": (451, "local error", Phase.DATA, True),
    "the server itself": (421, "too many connections", Phase.CONNECT, False),
    "the sender": (421, "slow down", Phase.MAIL, False),
    "greylisting": (451, "4.7.1 Greylisted, try again in 300 s", Phase.RECIPIENT, False),
    "one mailbox is full": (452, "4.2.2 mailbox full", Phase.RECIPIENT, False),
    "one mailbox is in use": (450, "mailbox busy", Phase.RECIPIENT, False),
    "for good": (550, "5.1.1 nobody", Phase.RECIPIENT, False),
}


@pytest.mark.parametrize(("code", "text", "phase", "expected"), REPLIES.values(), ids=REPLIES)
def test_what_speaks_for_a_whole_domain(code: int, text: str, phase: Phase, expected: bool) -> None:
    assert asks_for_a_pause(refusal(Reply(code, text), phase)) is expected


def test_a_broken_connection_says_nothing_of_the_domain() -> None:
    assert not asks_for_a_pause(ChannelError("gone", connection=True))


@given(st.integers(1, 200), st.none() | st.floats(0, 10**6), st.integers())
def test_pauses_double_and_keep_what_was_asked_for(level: int, asked: float | None, seed: int) -> None:
    found = pause_of(level, asked, random.Random(seed))
    if asked is None:
        expected = min(FIRST * 2 ** (level - 1), LONGEST)
        assert expected * (1 - JITTER) <= found <= expected * (1 + JITTER)
    else:
        assert min(asked, HEEDED) <= found <= HEEDED * (1 + JITTER)


def test_a_domain_is_held_after_some_refusals_and_probed_afterwards() -> None:
    rng, domain = random.Random(1), Domain("slow.example", lines=20)
    held = [domain.refused(BUSY, 10.0, rng) for _ in range(PATIENCE)]
    assert held == [False] * (PATIENCE - 1) + [True]
    assert (domain.level, domain.window) == (1, 1)
    assert 10.0 + FIRST * (1 - JITTER) <= domain.held_until <= 10.0 + FIRST * (1 + JITTER)
    assert not domain.refused(BUSY, 11.0, rng)  # was under way when the pause began
    assert domain.refused(BUSY, 200.0, rng)  # the probe: once is enough
    assert domain.level == 2
    later = domain.held_until + 1
    assert [domain.accepted(later), domain.level] == [True, 0]


def test_now_and_then_a_refusal_slows_but_does_not_hold() -> None:
    rng, domain = random.Random(1), Domain("slow.example", lines=20)
    for _ in range(30):
        domain.accepted(0.0)
    assert domain.window == 20
    for _ in range(3):
        assert not domain.refused(BUSY, 0.0, rng)
        domain.accepted(0.0)
    assert domain.window < 20
    assert domain.level == 0


@given(st.lists(st.sampled_from("tadrl"), max_size=200), st.integers(1, 64), st.none() | st.integers(1, 30))
def test_a_domain_never_has_more_under_way_than_it_may(moves: str, lines: int, share: int | None) -> None:
    rng, domain, now = random.Random(7), Domain("x.example", lines, share), 0.0
    for move in moves:
        now += 0.5
        if move == "t" and domain.room(alone=False):
            domain.out += 1
        elif move in "ar" and domain.out:
            domain.out -= 1
            _ = domain.accepted(now) if move == "a" else domain.refused(BUSY, now, rng)
        elif move == "l":
            domain.look(now)
        assert domain.out <= (lines if share is None else min(lines, share))
        assert domain.window >= 1
    domain.out = 0
    assert domain.room(alone=False)  # whatever happened, it is never shut for good


def test_one_that_does_not_answer_leaves_connections_to_others() -> None:
    domain = Domain("dead.example", lines=20)
    while domain.room(alone=False):
        domain.out += 1
    assert domain.out <= 3
    domain.look(10.0)
    domain.look(11.0)
    assert domain.window == 1


def test_mail_services_are_known_by_all_their_domains() -> None:
    assert domain_of("Someone@HotMail.com") == domain_of("else@msn.com") == "outlook.com"
    assert domain_of("a@firm.example") == "firm.example"
    assert domain_of("+8613800000000") == ""
    named = [name for main, provider in PROVIDERS.items() for name in (main, *provider.also)]
    assert len(named) == len(set(named))


JUDGED = {
    "too few to say": (Evidence(sent=499, complained=100), None, None),
    "all well": (Evidence(sent=10_000, refused=100, bounced=100, complained=9), None, None),
    "an alarm": (Evidence(sent=10_000, complained=10), None, "10 of 10000"),
    "complaints": (Evidence(sent=10_000, complained=30), "0.30%", None),
    "bounces": (Evidence(sent=950, bounced=25, refused=50), "75 of 1000", None),
    "all refused": (Evidence(refused=500), "500 of 500", None),
}


@pytest.mark.parametrize(("evidence", "pause", "alarm"), JUDGED.values(), ids=JUDGED)
def test_what_stops_a_campaign(evidence: Evidence, pause: str | None, alarm: str | None) -> None:
    found = judge(evidence, Thresholds())
    assert (pause is None, alarm is None) == (found.pause is None, found.alarm is None)
    assert (pause or "") in (found.pause or "")
    assert (alarm or "") in (found.alarm or "")


@given(st.builds(Evidence, *[st.integers(0, 10**6)] * 4))
def test_the_same_evidence_does_not_count_twice(evidence: Evidence) -> None:
    assert evidence.since(evidence) == Evidence()
    assert judge(evidence.since(evidence), Thresholds()).pause is None


@given(st.sampled_from(Rank), st.sampled_from(Rank), st.integers(0, TURNS * 2), st.integers(0, TURNS * 2))
def test_ranks_come_before_turns(one: Rank, other: Rank, turn: int, later: int) -> None:
    if one > other or (one == other and turn < later < TURNS):
        assert priority(one, turn) > priority(other, later)
    assert turn_of(priority(one, turn), one) == min(turn, TURNS - 1)
    assert -(2**31) <= priority(one, turn) < 2**31


@given(st.lists(st.tuples(st.sampled_from("sfe"), st.integers(0, 30)), max_size=80))
def test_places_at_a_domain_come_back_whatever_the_order(moves: list[tuple[str, int]]) -> None:
    """s: a message starts, f: one follows another, e: one ends; each line has at most one place."""
    domain, underway, now = Domain("x.example", lines=20), Underway(), datetime.now(UTC)
    out: list[Due] = []
    for place, (move, which) in enumerate(moves):
        message = Due(MessageKey(place, 1), "a@x.example", State.QUEUED, 0, now)
        if move == "s":
            underway.start(message, domain, 0.0)
            out.append(message)
        elif move == "f" and out and underway.domain_to_follow(before := out[which % len(out)]) is not None:
            underway.follow(message, before)
            out.append(message)
        elif move == "e" and out:
            assert underway.end(out.pop(which % len(out))) is domain
        assert (domain.out == 0) is (not out)
        assert 0 <= domain.out <= len(out)
    underway.clear()
    assert domain.out == 0


def test_one_behind_another_needs_no_place_of_its_own() -> None:
    domain, underway, now = Domain("x.example", lines=20), Underway(), datetime.now(UTC)
    first, second = (Due(MessageKey(number, 1), "a@x.example", State.QUEUED, 0, now) for number in (1, 2))
    underway.start(first, domain, 0.0)
    underway.follow(second, first)
    assert domain.out == 1
    assert underway.domain_to_follow(first) is None
    underway.end(first)
    assert domain.out == 1
    underway.end(second)
    assert domain.out == 0
    assert underway.end(second) is None


def test_a_domain_that_was_not_asked_for_long_is_not_taken_for_silent() -> None:
    domain, underway = Domain("x.example", lines=20), Underway()
    underway.start(Due(MessageKey(1, 1), "a@x.example", State.QUEUED, 0, datetime.now(UTC)), domain, 1_000.0)
    domain.look(1_001.0)
    assert domain.window == domain.first_window
    domain.look(1_010.0)
    assert domain.window < domain.first_window

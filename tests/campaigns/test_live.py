"""The live figures agree with the ledger, whoever commits when."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.live.base import AnswerRow, count_runs
from campaigns.live.board import Board
from campaigns.live.figures import Forecast, Head, Outlook, RunHead, Waiting
from campaigns.live.forecast import forecast
from campaigns.live.grouping import Grouping
from campaigns.live.heads import obstacles
from campaigns.sending.holds import Hold, write_holds
from campaigns.states import RunState, State
from runtime.database import Database
from tests.tracking.people_with_mail import make_messages, make_people
from tracking.answers import alike, codes
from tracking.counts import count_states
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.models import messages
from tracking.states import State as Message
from tracking.tallies import lately, snapshot, tallies_since

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RUN = 7
HEAD = Head(
    1, "Spring", "email", State.SENDING, None, None, None, [RunHead(RUN, RunState.SENDING, NOW, NOW, None, None)]
)
DOMAINS = [f"d{number}.example" for number in range(60)]


async def some_messages(conn: AsyncConnection, rng: random.Random, count: int) -> list[MessageKey]:
    """Queued messages to many domains, some born skipped."""
    keys = await make_messages(conn, await make_people(conn, count), run_id=RUN, state="queued")
    for key in keys:
        # most go to the first domains
        address = f"p{key.customer_id}@{DOMAINS[min(int(rng.expovariate(0.1)), len(DOMAINS) - 1)]}"
        skipped = {"state": "skipped", "reason": "no_consent"} if rng.random() < 0.1 else {}
        this = messages.c.customer_id == key.customer_id
        await conn.execute(update(messages).where(this).values(address=address, **skipped))
    return keys


def some_outcome(key: MessageKey, rng: random.Random) -> Outcome:
    state = rng.choice([Message.SENT] * 6 + [Message.FAILED, Message.QUEUED, Message.UNKNOWN, Message.SKIPPED])
    reasons = {Message.SENT: "250 ok", Message.SKIPPED: "unsubscribed", Message.QUEUED: f"450 4.2.1 later {key}"}
    return Outcome(key, state, NOW, reason=reasons.get(state, f"550 5.1.1 <p{key.customer_id}@x.example> unknown"))


@pytest.mark.parametrize("seed", range(3))
async def test_a_base_and_the_tallies_since_are_the_ledger(db: Database, seed: int) -> None:
    rng = random.Random(seed)
    async with db.begin() as conn:
        keys = await some_messages(conn, rng, 150)
        await record_outcomes(conn, [some_outcome(key, rng) for key in keys[:30]])
    board = Board()
    async with db.begin() as slow:  # numbered before the base, committed after it
        await record_outcomes(slow, [some_outcome(key, rng) for key in keys[30:50]])
        async with db.one_snapshot() as conn:
            seen = await snapshot(conn)
            board.rebase(await count_runs(conn, [RUN], NOW))
        for start in range(50, 120, 10):
            async with db.begin() as conn:
                await record_outcomes(conn, [some_outcome(key, rng) for key in keys[start : start + 10]])
            async with db.one_snapshot() as conn:
                board.add(await tallies_since(conn, seen, [RUN]))
                seen = await snapshot(conn)
    async with db.one_snapshot() as conn:
        board.add(await tallies_since(conn, seen, [RUN]))
        assert await tallies_since(conn, await snapshot(conn), [RUN]) == []
        ledger = (await count_states(conn, RUN)).numbers
        exact = Board()
        exact.rebase(await count_runs(conn, [RUN], NOW))
    found, counted = board.picture(HEAD, NOW), exact.picture(HEAD, NOW)
    assert {name: found.counts[name] for name in found.counts} == {name: ledger[name] for name in found.counts}
    assert sum(line.sent for line in found.domains) == ledger["sent"]
    assert sum(line.queued for line in found.domains) == ledger["queued"]
    told = {(line.domain, line.queued, line.sent, line.failed) for line in found.domains}
    if len(counted.domains) < 40:  # else which are the largest may have changed meanwhile
        assert told == {(line.domain, line.queued, line.sent, line.failed) for line in counted.domains}
    assert found.domains[-1].domain == "*" or len(found.domains) < 40


async def test_late_bounces_make_the_audience_no_larger(db: Database) -> None:
    """They come when nothing is queued any more, and nobody counts anew."""
    async with db.begin() as conn:
        keys = await make_messages(conn, await make_people(conn, 8), run_id=RUN, state="queued")
        await record_outcomes(conn, [Outcome(key, Message.SENT, NOW) for key in keys[:6]])
        await record_outcomes(conn, [Outcome(key, Message.UNKNOWN, NOW) for key in keys[6:]])
    board = Board()
    async with db.one_snapshot() as conn:
        board.rebase(await count_runs(conn, [RUN], NOW))
        seen = await snapshot(conn)
    for key, state in zip(keys[3:7], [Message.BOUNCED, Message.DELIVERED, Message.BOUNCED, Message.SENT], strict=True):
        async with db.begin() as conn:
            await record_outcomes(conn, [Outcome(key, state, NOW)])
    async with db.one_snapshot() as conn:
        board.add(await tallies_since(conn, seen, [RUN]))
        ledger = (await count_states(conn, RUN)).numbers
    found = board.picture(HEAD, NOW).counts
    assert dict(found) == {name: ledger[name] for name in found}
    assert (found["audience"], found["sent"], found["bounced"], found["unknown"]) == (8, 7, 2, 1)


async def test_who_begins_to_watch_sees_the_last_minutes(db: Database) -> None:
    rng = random.Random(1)
    async with db.begin() as conn:
        keys = await some_messages(conn, rng, 20)
        await record_outcomes(conn, [Outcome(key, Message.SENT, NOW, reason="250 2.0.0 taken") for key in keys])
    async with db.one_snapshot() as conn:
        board = Board()
        board.rebase(await count_runs(conn, [RUN], NOW))
        since = datetime.now(UTC) - timedelta(minutes=5)
        board.remember(await lately(conn, [RUN], since))
        sent = (await count_states(conn, RUN)).sent
    found = board.picture(HEAD, datetime.now(UTC) + timedelta(seconds=6))
    assert sum(found.spark) == sent > 0
    assert {line.answer for line in found.domains if line.sent} == {"250 2.0.0 taken"}


async def test_answers_are_counted_with_their_domains(db: Database) -> None:
    async with db.begin() as conn:
        people = await make_people(conn, 9)
        for person, domain in zip(people, ["a.example"] * 6 + ["b.example"] * 3, strict=True):
            reason = f"550 5.1.1 <p{person}@{domain}>: no such user ({person}x)"
            await conn.execute(
                insert(messages).values(
                    customer_id=person,
                    run_id=RUN,
                    campaign_id=1,
                    channel="email",
                    state="failed",
                    address=f"p{person}@{domain}",
                    reason=reason,
                )
            )
        found = Grouping((await count_runs(conn, [RUN], NOW)).answers).listed()
    [one] = found
    assert (one.state, one.text, one.n) == ("failed", "550 5.1.1 …: no such user …", 9)
    assert one.domains == ["a.example", "b.example"]
    assert "@a.example>" in one.example


ANSWERS = st.tuples(
    st.sampled_from(["failed", "queued"]),
    st.sampled_from(["550 5.1.1 <{}@x.example> unknown", "550 5.7.1 {} unknown", "451 busy {}", "{} strange"]),
    st.sampled_from(["1a", "x9", "99"]),
    st.sampled_from(DOMAINS[:3]),
)


@given(st.lists(ANSWERS, max_size=30))
def test_groups_never_mix_codes_and_lose_nothing(rows: list[tuple[str, str, str, str]]) -> None:
    told = [
        AnswerRow(state, alike(text.format(word)), domain, 1, text.format(word)) for state, text, word, domain in rows
    ]
    found = Grouping(told).listed()
    assert sum(one.n for one in found) == len(rows)
    for one in found:
        assert codes(one.text) == codes(one.example)
    again = Grouping([AnswerRow(one.state, alike(one.text), "", one.n, one.example) for one in found]).listed()
    assert [(one.state, one.text, one.n) for one in again] == [(one.state, one.text, one.n) for one in found]


LATER = NOW + timedelta(hours=9)


@pytest.mark.parametrize(
    ("state", "left", "waiting", "rate", "expected"),
    [
        (State.SENDING, 100, Waiting(), 10.0, Forecast(Outlook.FINISH, NOW + timedelta(seconds=10))),
        (State.SENDING, 100, Waiting(), None, Forecast(Outlook.SOON)),
        (State.SENDING, 100, Waiting(), 0.0, Forecast(Outlook.SOON)),
        (State.SENDING, 100, Waiting(20, LATER, LATER), 10.0, Forecast(Outlook.HELD, LATER)),
        (
            State.SENDING,
            100,
            Waiting(20, NOW, NOW + timedelta(seconds=5)),
            10.0,
            Forecast(Outlook.FINISH, NOW + timedelta(seconds=10)),
        ),
        (State.SENDING, 20, Waiting(20, LATER, LATER), 10.0, Forecast(Outlook.DUE, LATER)),
        (State.SENDING, 0, Waiting(), 10.0, Forecast(Outlook.DONE)),
        (State.PREPARING, 0, Waiting(), None, Forecast(Outlook.SOON)),
        (State.PAUSED, 100, Waiting(), 10.0, Forecast(Outlook.STOPPED)),
        (State.FINISHED, 0, Waiting(), None, Forecast(Outlook.DONE)),
    ],
)
def test_the_forecast_is_honest_about_what_waits(
    state: State, left: int, waiting: Waiting, rate: float | None, expected: Forecast
) -> None:
    assert forecast(state, left, waiting, rate, NOW) == expected


def test_a_campaign_whose_batches_all_wait_goes_on_with_the_first_of_them() -> None:
    assert forecast(State.SENDING, 100, Waiting(), 0.0, NOW, LATER) == Forecast(Outlook.DUE, LATER)
    assert forecast(State.SENDING, 100, Waiting(), 9.0, NOW, LATER).outlook is Outlook.FINISH  # the last are under way


async def test_domains_that_want_a_pause_are_told_with_all_their_names(db: Database) -> None:
    async with db.begin() as conn:
        [person] = await make_people(conn, 1)
        await make_messages(conn, [person], run_id=RUN, state="queued", address="w@126.com")
        await write_holds(conn, {"163.com": Hold("163.com", 1, LATER, "451 4.7.1 later", NOW)})
        board = Board()
        board.rebase(await count_runs(conn, [RUN], NOW))
        [line] = board.picture(HEAD, NOW, await obstacles(conn, [RUN], NOW)).domains
    assert (line.domain, line.held_until) == ("126.com", LATER)

"""Facts become events and folds: once each, machines apart, in groups, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.engagement import ENGAGEMENT
from customers.merging import merge
from customers.models import consents, customers, standing_consents
from runtime.database import Database
from runtime.errors import Unavailable
from tests.tracking.people_with_mail import SENT_AT, activity_of, make_messages, make_people, message
from tests.waiting import until
from tracking.collector import Collector
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey, campaign_counts
from tracking.models import events, messages

LATER = SENT_AT + timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CLICK = {"link": "https://shop.example.com/air", "link_index": 0}


def opened(key: MessageKey, at: datetime = LATER, machine: str | None = None) -> Fact:
    return Fact(key, FactKind.OPENED, at, machine=machine, agent="a browser")


def clicked(key: MessageKey, at: datetime = LATER, machine: str | None = None) -> Fact:
    return Fact(key, FactKind.CLICKED, at, machine=machine, agent="a browser", link=CLICK["link"], link_index=0)


def unsubscribed(key: MessageKey, at: datetime = LATER, source: str = "one-click") -> Fact:
    return Fact(key, FactKind.UNSUBSCRIBED, at, source=source)


def resubscribed(key: MessageKey, at: datetime) -> Fact:
    return Fact(key, FactKind.RESUBSCRIBED, at, source="page")


def score(person: Row[Any]) -> Decimal | None:
    return ENGAGEMENT.value(person.engaged_until, LATER)


async def one_message(conn: AsyncConnection, state: str = "sent") -> MessageKey:
    [key] = await make_messages(conn, await make_people(conn, 1), state=state)
    return key


async def events_of(conn: AsyncConnection, person: int) -> list[tuple[str, str | None]]:
    statement = select(events.c.kind, events.c.machine_reason).where(events.c.customer_id == person)
    return [(row.kind, row.machine_reason) for row in await conn.execute(statement.order_by(events.c.at))]


async def test_an_open_moves_the_message_the_person_and_the_counts(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [opened(key)], NOW)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.opened_at, row.opens, row.clicked_at, row.machine_opened_at) == (LATER, 1, None, None)
    assert (person.last_opened_at, person.last_clicked_at, score(person)) == (LATER, None, 1)
    assert (await campaign_counts(conn, 10)).opened == 1


async def test_a_click_is_an_open_too_and_keeps_where_it_led(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [clicked(key)], NOW)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.opened_at, row.clicked_at, row.opens, row.clicks) == (LATER, LATER, 0, 1)
    assert (person.last_opened_at, person.last_clicked_at, score(person)) == (LATER, LATER, 4)
    event = (await conn.execute(select(events))).one()
    assert (event.kind, event.link, event.campaign_id, event.channel) == ("clicked", CLICK["link"], 10, "email")
    assert event.attributes == {"user_agent": "a browser", "link": 0}


async def test_only_the_first_open_and_click_of_a_message_earn_points(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    for minute in range(3):
        at = LATER + timedelta(minutes=minute)
        await store(conn, [opened(key, at), clicked(key, at)], NOW)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.opens, row.clicks, row.opened_at, score(person)) == (3, 3, LATER, 4)
    assert person.last_clicked_at == LATER + timedelta(minutes=2)


async def test_the_same_fact_again_is_the_same_event(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [opened(key), opened(key)], NOW)
    await store(conn, [opened(key)], NOW)
    assert (await message(conn, key)).opens == 1
    assert len(await events_of(conn, key.customer_id)) == 1


async def test_machines_are_kept_apart_and_count_for_nothing(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [opened(key, machine="proxy"), clicked(key, machine="scanner")], NOW)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.opened_at, row.clicked_at, row.opens, row.clicks) == (None, None, 0, 0)
    assert (row.machine_opened_at, row.machine_clicked_at) == (LATER, LATER)
    assert (person.last_opened_at, person.last_clicked_at, person.engaged_until) == (None, None, None)
    assert sorted(await events_of(conn, key.customer_id)) == [("clicked", "scanner"), ("opened", "proxy")]
    counts = await campaign_counts(conn, 10)
    assert (counts.opened, counts.clicked, counts.machine_opened, counts.machine_clicked) == (0, 0, 1, 1)


@pytest.mark.parametrize(
    ("state", "after", "reason"),
    [("sent", 1.9, "fast"), ("sent", 2.1, None), ("queued", 60, "fast"), ("unknown", 60, None)],
)
async def test_nobody_is_faster_than_two_seconds(
    conn: AsyncConnection, state: str, after: float, reason: str | None
) -> None:
    key = await one_message(conn, state)
    await store(conn, [clicked(key, SENT_AT + timedelta(seconds=after))], NOW)
    assert await events_of(conn, key.customer_id) == [("clicked", reason)]


async def test_groups_may_commit_in_any_order(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [clicked(key, LATER + timedelta(minutes=5))], NOW)
    await store(conn, [opened(key, LATER)], NOW)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.opened_at, person.last_opened_at) == (LATER, LATER + timedelta(minutes=5))
    assert score(person) == 4


async def test_facts_about_nobody_are_dropped_and_others_kept(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [opened(MessageKey(999_999, 1)), opened(key), unsubscribed(MessageKey(999_999, 1))], NOW)
    assert await conn.scalar(select(func.count()).select_from(events)) == 1


async def test_an_old_token_reaches_the_survivor_of_a_merge(conn: AsyncConnection) -> None:
    old, new = await make_people(conn, 2)
    [key] = await make_messages(conn, [new])
    await conn.execute(update(customers).where(customers.c.id == old).values(merged_into=new))
    await store(conn, [opened(MessageKey(old, 1)), unsubscribed(MessageKey(old, 1))], NOW)
    row = await message(conn, key)
    assert (row.opened_at, row.unsubscribed_at) == (LATER, LATER)
    assert (await activity_of(conn, new)).last_opened_at == LATER
    assert await conn.scalar(select(consents.c.customer_id)) == new


async def test_unsubscribing_twice_counts_once_and_withdraws_consent(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [unsubscribed(key)], NOW)
    await store(conn, [unsubscribed(key, LATER + timedelta(minutes=1))], NOW)
    assert (await message(conn, key)).unsubscribed_at == LATER
    assert await events_of(conn, key.customer_id) == [("unsubscribed", None)]
    ledger = (await conn.execute(select(consents))).one()
    assert (ledger.channel, ledger.purpose, ledger.granted, ledger.source) == ("email", "marketing", False, "one-click")
    assert (await campaign_counts(conn, 10)).unsubscribed == 1


async def test_taking_it_back_stands_until_the_next_word(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    minutes = [LATER + timedelta(minutes=minute) for minute in range(3)]
    await store(conn, [unsubscribed(key, minutes[0])], NOW)
    await store(conn, [resubscribed(key, minutes[1]), resubscribed(key, minutes[1])], NOW)
    standing = (await conn.execute(select(standing_consents))).one()
    assert (standing.granted, standing.source, (await message(conn, key)).unsubscribed_at) == (True, "page", None)
    await store(conn, [unsubscribed(key, minutes[2], "page")], NOW)
    assert (await conn.execute(select(standing_consents.c.granted))).scalar_one() is False
    kinds = [kind for kind, _ in await events_of(conn, key.customer_id)]
    assert kinds == ["unsubscribed", "resubscribed", "unsubscribed"]


async def test_the_last_word_of_a_group_stands(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await store(conn, [unsubscribed(key), resubscribed(key, LATER + timedelta(seconds=1))], NOW)
    assert (await message(conn, key)).unsubscribed_at is None
    assert (await conn.execute(select(standing_consents.c.granted))).scalar_one() is True


async def test_unsubscribing_by_an_old_message_withdraws_what_was_granted_since(conn: AsyncConnection) -> None:
    people = await make_people(conn, 1)
    [old] = await make_messages(conn, people)
    [new] = await make_messages(conn, people, run_id=2)
    await store(conn, [unsubscribed(old)], NOW)
    await store(conn, [resubscribed(new, LATER + timedelta(minutes=1))], NOW)
    await store(conn, [unsubscribed(old, LATER + timedelta(minutes=2))], NOW)
    assert (await conn.execute(select(standing_consents.c.granted))).scalar_one() is False


async def test_whatever_an_agent_says_can_be_kept(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    agent = "Mozilla\0 \ud800 \xff <script>" + "x" * 10_000
    await store(conn, [Fact(key, FactKind.OPENED, LATER, agent=agent)], NOW)
    kept = (await conn.execute(select(events.c.attributes))).scalar_one()["user_agent"]
    assert kept.startswith("Mozilla ? ÿ <script>x")
    assert len(kept) <= 500


@pytest.fixture
async def collector(db: Database) -> AsyncIterator[Collector]:
    made = Collector(db)
    yield made
    await made.close()


async def test_concurrent_facts_share_commits_and_each_counts_once(db: Database, collector: Collector) -> None:
    async with db.begin() as conn:
        keys = await make_messages(conn, await make_people(conn, 50))
    facts = [clicked(key, LATER + timedelta(seconds=second)) for key in keys for second in range(10)]
    await asyncio.gather(*(collector.record(fact) for fact in facts))
    async with db.connect() as conn:
        assert (await campaign_counts(conn, 10)).clicked == 50
        assert await conn.scalar(select(func.sum(messages.c.clicks))) == 500
        commits = await conn.scalar(select(func.count(func.distinct(events.c.recorded_at))))
        assert commits < 50


async def test_two_processes_that_meet_on_the_same_people_lose_nothing(db: Database) -> None:
    async with db.begin() as conn:
        keys = await make_messages(conn, await make_people(conn, 20))
        keys += await make_messages(conn, [key.customer_id for key in keys], run_id=2)
    both = Collector(db), Collector(db)
    facts = [clicked(key, LATER + timedelta(seconds=second)) for second in range(6) for key in keys]
    await asyncio.gather(*(both[place % 2].record(fact) for place, fact in enumerate(facts)))
    async with db.connect() as conn:
        assert await conn.scalar(select(func.sum(messages.c.clicks))) == 240
        scores = {score(await activity_of(conn, key.customer_id)) for key in keys}
    assert scores == {8}


async def test_a_request_that_went_away_takes_nobody_with_it(db: Database, collector: Collector) -> None:
    async with db.begin() as conn:
        keys = await make_messages(conn, await make_people(conn, 2))
    gone, stays = (asyncio.create_task(collector.record(opened(key))) for key in keys)
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
    async with db.connect() as conn:
        assert (await message(conn, keys[1])).opens == 1


async def test_a_database_that_is_away_is_said_to_everybody_who_waits() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    collector = Collector(away)
    facts = [opened(MessageKey(person, 1)) for person in range(1, 4)]
    told = await asyncio.gather(*(collector.record(fact) for fact in facts), return_exceptions=True)
    assert [type(error) for error in told] == [Unavailable] * 3
    await away.close()


async def test_messages_that_are_gone_keep_their_events_out(conn: AsyncConnection) -> None:
    key = await one_message(conn)
    await conn.execute(delete(messages))
    await store(conn, [clicked(key)], NOW)
    assert await events_of(conn, key.customer_id) == []


async def test_who_unsubscribes_while_they_are_merged_is_not_written_to_again(db: Database) -> None:
    async with db.begin() as conn:
        keep, lose = await make_people(conn, 2)
        [key] = await make_messages(conn, [lose])
        await store(conn, [resubscribed(key, LATER)], NOW)

    async def leave() -> None:
        async with db.begin() as conn:
            await store(conn, [unsubscribed(key, LATER + timedelta(minutes=1))], NOW)

    async with db.begin() as conn:
        await merge(conn, keep, lose, now=NOW)
        leaving = asyncio.create_task(leave())
        await until(lambda: waiting_for_a_lock(db))
    await leaving
    async with db.connect() as conn:
        standing = (await conn.execute(select(standing_consents.c.customer_id, standing_consents.c.granted))).all()
        assert [tuple(row) for row in standing] == [(keep, False)]


async def waiting_for_a_lock(db: Database) -> bool:
    async with db.connect() as conn:
        return bool(await conn.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

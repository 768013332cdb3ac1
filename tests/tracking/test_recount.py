"""Folds are what the facts say, whatever happened in whatever order; and what was spoilt is mended and told."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.engagement import ENGAGEMENT
from customers.merging import merge
from customers.models import activity
from customers.ratings import Answer, Asked, How, record_rating
from tests.tracking.people_with_mail import SENT_AT, activity_of, make_messages, make_people, message
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.models import events, messages
from tracking.recount import Differences, fold_missing_scores, recount, recount_campaign
from tracking.states import State

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NONE = Differences(0, 0, 0)


def anything(rng: random.Random, key: MessageKey, second: int) -> Fact:
    """Any fact about a message, by a person or a machine; what people say is told in its order, opens and clicks in
    any."""
    kind = rng.choice(list(FactKind))
    seen = kind in (FactKind.OPENED, FactKind.CLICKED, FactKind.VIEWED)
    machine = rng.choice([None, None, "proxy"]) if seen else None
    at = SENT_AT + timedelta(seconds=rng.randrange(5_000_000) if seen else second)
    return Fact(key, kind, at, machine=machine, agent="x")


async def test_nothing_differs_after_any_history(conn: AsyncConnection) -> None:
    rng = random.Random(7)
    people = await make_people(conn, 12)
    keys = await make_messages(conn, people, state="queued")
    keys += await make_messages(conn, people, run_id=2, state="queued")
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in keys[:9]])
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in keys[12:]])
    for turn in range(60):
        await store(conn, [anything(rng, rng.choice(keys), 10 * turn + n) for n in range(rng.randrange(1, 8))], NOW)
    assert await recount(conn) == NONE
    standing = (await conn.execute(select(activity.c.customer_id, activity.c.engaged_until))).all()
    await conn.execute(update(activity).values(engaged_until=None))  # as before there were any
    assert await fold_missing_scores(conn) == sum(until is not None for _, until in standing) > 0
    assert await recount(conn) == NONE


async def test_sent_and_opened_messages_need_no_recount(conn: AsyncConnection) -> None:
    keys = await make_messages(conn, await make_people(conn, 3), state="queued")
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in keys])
    await store(conn, [Fact(key, FactKind.CLICKED, SENT_AT + timedelta(hours=1)) for key in keys[:2]], NOW)
    assert await recount(conn) == NONE


async def test_a_merge_keeps_every_count_and_old_links_go_on_counting(conn: AsyncConnection) -> None:
    keep, lose = await make_people(conn, 2)
    keys = await make_messages(conn, [keep, lose], state="queued")
    [only] = await make_messages(conn, [lose], run_id=2, state="queued")
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in (*keys, only)])
    hour = SENT_AT + timedelta(hours=1)
    await store(conn, [Fact(key, FactKind.CLICKED, hour) for key in (*keys, only)], NOW)
    await merge(conn, keep, lose, now=NOW)
    assert await recount(conn) == NONE
    opened = [Fact(key, FactKind.OPENED, hour + timedelta(minutes=5)) for key in (*keys, only)]
    await store(conn, opened, NOW)
    rows = [await message(conn, key) for key in (*keys, MessageKey(keep, 2))]
    assert [(row.clicks, row.opens) for row in rows] == [(1, 1)] * 3
    person = await activity_of(conn, keep)
    assert (ENGAGEMENT.value(person.engaged_until, hour), person.last_opened_at) == (12, hour + timedelta(minutes=5))
    assert await recount(conn) == NONE


async def test_what_was_spoilt_is_mended_and_told(conn: AsyncConnection) -> None:
    keys = await make_messages(conn, await make_people(conn, 3), state="queued")
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in keys])
    await store(conn, [Fact(keys[0], FactKind.OPENED, SENT_AT + timedelta(hours=1))], NOW)
    await conn.execute(update(messages).where(messages.c.customer_id == keys[0].customer_id).values(opens=5))
    await conn.execute(update(messages).where(messages.c.customer_id == keys[1].customer_id).values(clicked_at=NOW))
    asked = Asked(keys[0].customer_id, keys[0].run_id, keys[0].step, "csat")
    await record_rating(conn, Answer(keys[0].customer_id, asked, 5, NOW, How.BUTTON))
    await conn.execute(update(activity).values(last_contacted_at=None, orders_count=2, last_rating=1))
    assert await recount(conn) == Differences(messages=2, activity=3, orders=3, ratings=3)
    assert await recount(conn) == NONE
    assert (await message(conn, keys[0])).opens == 1
    assert (await activity_of(conn, keys[2].customer_id)).last_contacted_at == SENT_AT
    assert await conn.scalar(select(func.count()).select_from(events)) == 1


async def test_one_campaign_can_be_recounted_alone(conn: AsyncConnection) -> None:
    people = await make_people(conn, 2)
    keys = [key for run in (1, 2) for key in await make_messages(conn, people, run_id=run, state="queued")]
    await record_outcomes(conn, [Outcome(key, State.SENT, SENT_AT) for key in keys])
    await store(conn, [Fact(key, FactKind.OPENED, SENT_AT + timedelta(hours=1)) for key in keys], NOW)
    assert await recount_campaign(conn, 10) == 0
    await conn.execute(update(messages).values(opens=5))
    assert await recount_campaign(conn, 10) == 2
    assert [(await message(conn, key)).opens for key in keys] == [1, 1, 5, 5]
    assert await recount(conn) == Differences(messages=2, activity=0, orders=0)

"""What a customer's own opens and clicks say: their score over time, their hour, their channel."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.merging import merge
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people
from tracking.facts import Fact, FactKind
from tracking.habits import Habits, engagement_at, habits_of
from tracking.ingest import store

NOW = SENT_AT + timedelta(days=200)
HOUR = timedelta(hours=1)  # 17:00 in Shanghai when it was sent


async def test_the_score_as_it_was(conn: AsyncConnection) -> None:
    keep, lose = await make_people(conn, 2)
    keys = await make_messages(conn, [keep, lose])
    await store(conn, [Fact(keys[0], FactKind.CLICKED, SENT_AT + HOUR)], NOW)
    await store(conn, [Fact(keys[1], FactKind.OPENED, SENT_AT + timedelta(days=90))], NOW)
    moments = [SENT_AT, SENT_AT + 2 * HOUR, SENT_AT + HOUR + timedelta(days=90), SENT_AT + HOUR + timedelta(days=180)]
    assert await engagement_at(conn, keep, moments) == pytest.approx([0, 4, 2, 1], abs=0.01)
    await merge(conn, keep, lose, now=NOW)  # the same run: the other's message stays with its id
    assert await engagement_at(conn, keep, moments) == pytest.approx([0, 4, 3, 1.5], abs=0.01)


async def test_their_hour_and_channel(conn: AsyncConnection) -> None:
    [person] = await make_people(conn, 1)
    mails = [key for run in range(1, 5) for key in await make_messages(conn, [person], run_id=run)]
    [text] = await make_messages(conn, [person], run_id=9, channel="sms")

    async def told(*facts: Fact) -> Habits:
        await store(conn, facts, NOW)
        return await habits_of(conn, person, NOW, "Asia/Shanghai")

    assert await told(*(Fact(key, FactKind.OPENED, SENT_AT + HOUR) for key in mails[:2])) == Habits(None, None)
    scanned = [Fact(key, FactKind.CLICKED, SENT_AT + 3 * HOUR, "scanner") for key in mails]
    assert await told(*scanned) == Habits(None, None)
    assert await told(Fact(mails[2], FactKind.OPENED, SENT_AT + HOUR)) == Habits(18, "email")
    assert await told(Fact(text, FactKind.CLICKED, SENT_AT + 5 * HOUR)) == Habits(22, "sms")  # a tie: the later
    assert await told(Fact(mails[3], FactKind.OPENED, SENT_AT + HOUR)) == Habits(18, "email")
    later = await habits_of(conn, person, NOW + timedelta(days=365), "Asia/Shanghai")
    assert later == Habits(None, None)

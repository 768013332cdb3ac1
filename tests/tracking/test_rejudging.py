"""What shows only later: stored events are flagged, and everything that they moved is put right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from tests.tracking.people_with_mail import SENT_AT, activity_of, make_messages, make_people, message
from tracking.collector import Collector
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey, campaign_counts
from tracking.machines import HEAD, TRAP
from tracking.models import events, link_tables
from tracking.recount import recount
from tracking.rejudging import SWEEP, look_again
from tracking.seen import store_seen

LATER = SENT_AT + timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)


def opened(key: MessageKey, seconds: float = 0) -> Fact:
    return Fact(key, FactKind.OPENED, after(seconds), agent="a browser")


def clicked(key: MessageKey, link: int, seconds: float, machine: str | None = None) -> Fact:
    return Fact(key, FactKind.CLICKED, after(seconds), machine, "a browser", f"https://shop.example/{link}", link)


async def one_message(conn: AsyncConnection, links: int) -> MessageKey:
    [key] = await make_messages(conn, await make_people(conn, 1))
    await conn.execute(insert(link_tables), {"run_id": 1, "links": [f"https://shop.example/{n}" for n in range(links)]})
    await recount(conn)  # their rows were made by hand
    return key


async def reasons(conn: AsyncConnection) -> list[str | None]:
    return list((await conn.execute(select(events.c.machine_reason).order_by(events.c.at))).scalars())


@pytest.mark.parametrize(
    ("links", "followed", "swept"),
    [
        (3, [(0, 0.0), (1, 0.2), (2, 0.4)], True),
        (3, [(0, 0.0), (1, 3.0), (2, 9.9)], True),
        (3, [(0, 0.0), (1, 3.0), (2, 11.0)], False),
        (3, [(0, 0.0), (1, 0.2), (1, 0.4)], False),
        (2, [(0, 0.0), (1, 5.0)], True),
        (1, [(0, 0.0), (0, 0.1)], False),
        (9, [(n, n / 10) for n in range(5)], True),
        (9, [(n, n / 10) for n in range(4)], False),
    ],
)
async def test_every_link_at_once_is_no_reader(
    conn: AsyncConnection, links: int, followed: list[tuple[int, float]], swept: bool
) -> None:
    key = await one_message(conn, links)
    for link, seconds in followed:  # each in a group of its own: those before were people's until now
        await store(conn, [clicked(key, link, seconds)], NOW)
    assert await reasons(conn) == ["sweep" if swept else None] * len(followed)
    row, person = await message(conn, key), await activity_of(conn, key.customer_id)
    assert (row.clicks == 0, row.clicked_at is None, row.machine_clicked_at is not None) == (swept,) * 3
    assert (person.last_clicked_at is None, person.engaged_until is None) == (swept, swept)
    assert (await campaign_counts(conn, 10)).clicked == (0 if swept else 1)
    assert (await recount(conn)).total == 0


async def test_a_reader_of_before_and_after_stays_one(conn: AsyncConnection) -> None:
    key = await one_message(conn, 3)
    await store(conn, [opened(key, -600), clicked(key, 0, -590)], NOW)
    before = await activity_of(conn, key.customer_id)
    await store(conn, [opened(key, 0), *(clicked(key, n, n / 10) for n in range(3))], NOW)
    await store(conn, [opened(key, 5)], NOW)
    assert await reasons(conn) == [None, None, "sweep", "sweep", "sweep", "sweep", "sweep"]
    assert (await activity_of(conn, key.customer_id)).engaged_until == before.engaged_until
    await store(conn, [clicked(key, 1, 900)], NOW)
    row = await message(conn, key)
    assert (row.opens, row.clicks, row.clicked_at) == (1, 2, after(-590))
    assert (await recount(conn)).total == 0


async def test_links_that_say_head_first_count_too(conn: AsyncConnection) -> None:
    key = await one_message(conn, 2)
    await store(conn, [clicked(key, 0, 0, "head"), clicked(key, 0, 0.1)], NOW)
    await store(conn, [clicked(key, 1, 0.2)], NOW)
    first, *others = await reasons(conn)
    assert first == HEAD
    assert set(others) <= {HEAD, SWEEP}


@pytest.mark.parametrize("first", [True, False])
async def test_who_follows_the_hidden_link_did_the_rest_too(conn: AsyncConnection, first: bool) -> None:
    key = await one_message(conn, 9)
    trap = Fact(key, FactKind.CLICKED, after(20), TRAP, "a browser")
    human = [opened(key, 0), clicked(key, 3, 30)]
    for facts in ([trap], human) if first else (human, [trap]):
        await store(conn, facts, NOW)
    await store(conn, [clicked(key, 4, 300)], NOW)
    assert await reasons(conn) == [TRAP, TRAP, TRAP, None]
    row = await message(conn, key)
    assert (row.opens, row.clicks, row.opened_at) == (0, 1, after(300))
    assert (await recount(conn)).total == 0


async def test_processes_that_meet_on_a_message_find_the_sweep_and_lose_nothing(db: Database) -> None:
    async with db.begin() as conn:
        people = await make_people(conn, 20)
        keys = await make_messages(conn, people)
        keys += await make_messages(conn, people, run_id=2)
        for run in (1, 2):
            await conn.execute(
                insert(link_tables), {"run_id": run, "links": [f"https://x.example/{n}" for n in range(4)]}
            )
        await recount(conn)
    both = Collector(db), Collector(db)
    facts = [clicked(key, link, link + key.run_id / 10) for link in range(4) for key in keys if key.run_id == 1]
    facts += [clicked(key, 0, 100 + n) for n in range(4) for key in keys if key.run_id == 2]
    await asyncio.gather(*(both[place % 2].record(fact) for place, fact in enumerate(facts)))
    async with db.begin() as conn:
        assert sorted(str(each) for each in await reasons(conn)) == ["None"] * 80 + ["sweep"] * 80
        assert (await recount(conn)).total == 0
    for each in both:
        await each.close()


async def test_nothing_is_looked_at_again_for_opens(conn: AsyncConnection) -> None:
    keys: Sequence[MessageKey] = await make_messages(conn, await make_people(conn, 3))
    await store(conn, [opened(key, second) for key in keys for second in range(5)], NOW)
    assert await reasons(conn) == [None] * 15


async def test_who_asks_for_headers_alone_is_no_reader_of_the_rest(conn: AsyncConnection) -> None:
    """A scanner that takes its time; a reader under another name is left alone."""
    key = await one_message(conn, 9)
    await store(conn, [clicked(key, 0, 0)], NOW)
    await store(conn, [clicked(key, 0, 30, HEAD)], NOW)
    reader = Fact(key, FactKind.CLICKED, after(40), None, "another browser", "https://shop.example/3", 3)
    await store(conn, [clicked(key, 1, 45), reader], NOW)
    await store(conn, [clicked(key, 2, 200)], NOW)
    assert await reasons(conn) == [HEAD, HEAD, None, HEAD, None]
    assert (await message(conn, key)).clicks == 2
    assert (await recount(conn)).total == 0


async def test_a_click_is_looked_at_again_only_where_another_is_near(conn: AsyncConnection) -> None:
    key = await one_message(conn, 3)
    due = [await store_seen(conn, [clicked(key, 0, seconds)]) for seconds in (0, 60, 69, 900, 880)]
    assert due == [False, False, True, False, False]
    assert await look_again(conn) == 1
    assert await store_seen(conn, [clicked(key, 1, 2000), clicked(key, 1, 2000.5)])
    assert await reasons(conn) == [None] * 7


async def test_what_a_dead_process_left_is_looked_at_by_another(db: Database) -> None:
    async with db.begin() as conn:
        key = await one_message(conn, 2)
    async with db.connect(autocommit=True) as conn:  # dies before it looks
        await store_seen(conn, [clicked(key, 0, 0)])
        assert await store_seen(conn, [clicked(key, 1, 1)])
        assert await store_seen(conn, [opened(key, -5)])  # earlier than the score knew
    async with db.begin() as one, db.begin() as other:
        assert await look_again(one) == 2
        assert await look_again(other) == 0  # which leaves alone what somebody looks at
    async with db.begin() as conn:
        assert await reasons(conn) == [SWEEP, SWEEP, SWEEP]
        assert await look_again(conn) == 0
        assert (await recount(conn)).total == 0

"""When segments are evaluated, and how long what is kept of them lives."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.engagement import ENGAGEMENT
from customers.models import activity, attribute_definitions, changed_customers
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Invalid
from runtime.house import House
from runtime.leader import acquire
from runtime.settings import Settings
from segments import standing
from segments.context import EvaluationContext
from segments.feed import Position, changes, history, position
from segments.forget import FEED_KEPT, LOG_KEPT, UNDER_WAY, forget, purge
from segments.models import segment_changes, segment_members, segment_sizes, segment_states
from segments.refresh import (
    AFTER_FAILURE,
    BY_TIME,
    SOONEST,
    due_segments,
    refresh_due_segments,
    refresh_segment,
    tidy_now_and_then,
    tidy_segments,
)
from segments.standing import evaluate
from segments.states import failure_of, state_of
from segments.store import create_segment, delete_segment, update_segment
from tests.campaigns.scene import work_off
from tests.segments.people import NOW, city, make_people

DAILY = {"field": "birthday", "op": "anniversary_within_next", "value": "P7D"}
ALWAYS = {"field": "last_order_at", "op": "not_within_last", "value": "P180D"}


def at(now: datetime) -> EvaluationContext:
    return EvaluationContext(now, "Asia/Shanghai")


async def made(db: Database, rule: Any, name: str = "One") -> int:
    async with db.begin() as conn:
        found = await create_segment(conn, name, rule)
    return found.id


async def evaluated(db: Database, segment_id: int, now: datetime = NOW) -> None:
    async with db.begin() as conn:
        assert await evaluate(conn, segment_id, at(now)) is not None


async def due(db: Database, now: datetime) -> list[int]:
    async with db.connect() as conn:
        return await due_segments(conn, at(now))


async def changed(db: Database, settings: Settings, **record: Any) -> None:
    async with db.begin() as conn:
        await make_people(conn, settings, [record])


async def test_a_new_one_is_due_and_then_rests(db: Database, settings: Settings) -> None:
    one = await made(db, city("A"))
    assert await due(db, NOW) == [one]
    await evaluated(db, one)
    assert await due(db, NOW) == []
    assert await due(db, NOW + timedelta(hours=7)) == []
    assert await due(db, NOW + timedelta(hours=8)) == [one], "a new day in Shanghai"


async def test_changes_make_it_due_after_a_minute(db: Database, settings: Settings) -> None:
    await changed(db, settings, external_id="a")
    one = await made(db, city("A"))
    await evaluated(db, one)
    await changed(db, settings, external_id="a", city="A")
    assert await due(db, NOW + SOONEST / 2) == []
    assert await due(db, NOW + SOONEST) == [one]
    async with db.begin() as conn:
        await conn.execute(update(segment_states).values(milliseconds=30_000))
    assert await due(db, NOW + SOONEST) == [], "one that takes half a minute rests for ten"
    assert await due(db, NOW + timedelta(minutes=10)) == [one]


async def test_instants_pass_at_any_moment_and_dates_at_midnight(db: Database) -> None:
    daily, always = await made(db, DAILY, "daily"), await made(db, {"any": [ALWAYS, DAILY]}, "always")
    for each in (daily, always):
        await evaluated(db, each)
    async with db.connect() as conn:
        paces = [state.moves for each in (daily, always) if (state := await state_of(conn, each))]
    assert paces == ["daily", "always"]
    assert await due(db, NOW + BY_TIME - timedelta(seconds=1)) == []
    assert await due(db, NOW + BY_TIME) == [always]


async def test_who_fades_leaves_as_time_passes(db: Database, settings: Settings) -> None:
    """Nothing is written and nobody noted: the bound moves over the instant that a score is stored as."""
    segment_id = await made(db, {"field": "engagement_score", "op": "gte", "value": 2})
    async with db.begin() as conn:
        ids = list((await make_people(conn, settings, [{"external_id": name} for name in "abc"])).values())
        for customer_id, points in zip(ids, (4, 8, 1), strict=True):
            until = ENGAGEMENT.earned(points, NOW)
            own = activity.c.customer_id == customer_id
            await conn.execute(update(activity).where(own).values(engaged_until=until))
    of_it = select(segment_members.c.customer_id).where(segment_members.c.segment_id == segment_id)
    left: dict[int, set[int]] = {}
    for days in (0, 89, 91, 181):
        assert await due(db, NOW + timedelta(days=days)) == [segment_id]
        await evaluated(db, segment_id, NOW + timedelta(days=days))
        async with db.connect() as conn:
            left[days] = set((await conn.execute(of_it)).scalars())
    assert left == {0: {ids[0], ids[1]}, 89: {ids[0], ids[1]}, 91: {ids[1]}, 181: set()}


async def test_a_changed_rule_makes_those_due_that_refer_to_it(db: Database) -> None:
    one = await made(db, city("A"))
    two = await made(db, {"in_segment": one}, "two")
    three = await made(db, city("C"), "three")
    for each in (one, two, three):
        await evaluated(db, each)
    async with db.begin() as conn:
        await update_segment(conn, one, rule=city("B"))
    assert await due(db, NOW) == [one, two]


async def test_a_rule_that_fails_keeps_its_reason_and_rests(house: House) -> None:
    db = house.database
    async with db.begin() as conn:
        await conn.execute(insert(attribute_definitions).values(key="size", kind="number"))
        one = (await create_segment(conn, "one", {"field": "attributes.size", "op": "gt", "value": 3})).id
    await refresh_segment(house, segment_id=one)
    async with db.begin() as conn:
        before = await state_of(conn, one)
        await conn.execute(delete(attribute_definitions))
    await refresh_segment(house, segment_id=one)
    async with db.begin() as conn:
        assert "attributes.size" in str(await failure_of(conn, one))
        after = await state_of(conn, one)
        assert before is not None
        assert after is not None
        assert (after.evaluation, after.evaluated_at) == (before.evaluation, before.evaluated_at)
        assert one not in await due_segments(conn, at(utc_now()))
        assert one in await due_segments(conn, at(utc_now() + AFTER_FAILURE))
        await conn.execute(insert(attribute_definitions).values(key="size", kind="number"))
    await refresh_segment(house, segment_id=one)
    async with db.connect() as conn:
        assert await failure_of(conn, one) is None
    await refresh_segment(house, segment_id=99)


async def test_two_at_once_come_one_after_the_other(db: Database, settings: Settings) -> None:
    async with db.begin() as conn:
        await make_people(conn, settings, [{"external_id": str(number), "city": "A"} for number in range(50)])
    one = await made(db, city("A"))

    async def run() -> int:
        async with db.begin() as conn:
            done = await evaluate(conn, one, at(NOW))
            assert done is not None
            return done.number

    assert sorted(await asyncio.gather(*(run() for _ in range(6)))) == [1, 2, 3, 4, 5, 6]
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(segment_members)) == 50


async def test_one_that_breaks_off_leaves_nothing(db: Database, settings: Settings) -> None:
    await changed(db, settings, external_id="a", city="A")
    one = await made(db, city("A"))

    async def broken() -> None:
        async with db.begin() as conn:
            await evaluate(conn, one, at(NOW))
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await broken()
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(segment_members)) == 0
        assert await state_of(conn, one) is None
    await evaluated(db, one)


async def test_the_feed_is_kept_for_ninety_days(db: Database, settings: Settings) -> None:
    await changed(db, settings, external_id="a", city="A")
    one = await made(db, city("A"))
    await evaluated(db, one)
    async with db.connect() as conn:
        start = await position(conn, one)
    for number, town in enumerate(("B", "A", "B"), 1):
        await changed(db, settings, external_id="a", city=town)
        await evaluated(db, one, NOW + number * FEED_KEPT / 2)
    async with db.begin() as conn:
        assert [entry.entered for entry in (await changes(conn, one, start)).items] == [False, True, False]
        await purge(conn, NOW + FEED_KEPT * 1.7)
        left = await changes(conn, one)
        assert [entry.entered for entry in left.items] == [True, False]
        assert (left.position, left.more) == (Position(4, 2**63 - 1), False)
        with pytest.raises(Invalid, match="no longer kept"):
            await changes(conn, one, start)
        assert len((await changes(conn, one, Position(3, 2**63 - 1))).items) == 1
        assert [day.size for day in await history(conn, one)] == [1, 0, 1, 0]


async def test_a_fault_of_ours_is_not_tried_at_each_tick(house: House) -> None:
    one = await made(house.database, city("A"))
    assert refresh_segment.given_up is not None
    await refresh_segment.given_up(house, ZeroDivisionError("a bug"), segment_id=one)
    async with house.database.connect() as conn:
        assert await failure_of(conn, one) == "ZeroDivisionError: a bug"
    assert await due(house.database, utc_now()) == []
    assert await due(house.database, utc_now() + AFTER_FAILURE) == [one]


async def test_the_log_is_dropped_once_all_have_seen_it(db: Database, settings: Settings) -> None:
    one, two = await made(db, city("A")), await made(db, city("B"), "two")
    for each in (one, two):
        await evaluated(db, each)
    await changed(db, settings, external_id="a", city="A")
    await evaluated(db, one)
    await _purged(db, utc_now() + UNDER_WAY)
    assert await _logged(db) == 1, "two has not seen it"
    await evaluated(db, two)
    await _purged(db, utc_now() + UNDER_WAY)
    assert await _logged(db) == 0


async def test_what_a_first_evaluation_cannot_see_waits_for_the_next(db: Database, settings: Settings) -> None:
    one = await made(db, city("A"))
    async with db.begin() as conn:
        first = await evaluate(conn, one, at(NOW))
        await changed(db, settings, external_id="a", city="A")
        await _purged(db, utc_now())
    async with db.begin() as conn:
        second = await evaluate(conn, one, at(NOW))
    assert first is not None
    assert second is not None
    assert (first.size, second.size, second.looked_at) == (0, 1, 1)


async def test_the_log_is_not_dropped_under_an_evaluation_that_goes_on_from_it(
    db: Database, settings: Settings
) -> None:
    one, later = await made(db, city("A")), utc_now() + LOG_KEPT
    await evaluated(db, one)
    await changed(db, settings, external_id="a", city="A")
    async with db.begin() as conn:
        task = await standing._begin(conn, one, at(later))
        purging = asyncio.create_task(_purged(db, later + SOONEST))
        await asyncio.wait({purging}, timeout=0.5)
        assert task is not None
        assert (await standing._changes(conn, task)).any
    await purging


async def test_who_slept_too_long_looks_at_everyone(db: Database, settings: Settings) -> None:
    one = await made(db, city("A"))
    await evaluated(db, one, utc_now() - LOG_KEPT * 2)
    await changed(db, settings, external_id="a", city="A")
    await _purged(db, utc_now() + LOG_KEPT)
    assert await _logged(db) == 0
    async with db.begin() as conn:
        done = await evaluate(conn, one, at(utc_now()))
    assert done is not None
    assert (done.looked_at, done.size, done.entered) == (None, 1, 1)


async def test_a_restored_database_numbers_its_transactions_anew(db: Database, settings: Settings) -> None:
    one = await made(db, city("A"))
    await evaluated(db, one)
    async with db.begin() as conn:
        await conn.execute(update(segment_states).values(snapshot="999999999:999999999:"))
    await changed(db, settings, external_id="a", city="A")
    async with db.begin() as conn:
        done = await evaluate(conn, one, at(NOW))
    assert done is not None
    assert (done.looked_at, done.size) == (None, 1)


async def test_a_deleted_one_is_forgotten(house: House) -> None:
    db = house.database
    await changed(db, house.settings, external_id="a", city="A")
    one, two = await made(db, city("A")), await made(db, city("A"), "two")
    for each in (one, two):
        await evaluated(db, each)
    async with db.begin() as conn:
        await delete_segment(conn, one)
        assert await evaluate(conn, one, at(NOW)) is None
    await tidy_segments(house)
    async with db.begin() as conn:
        for table in (segment_members, segment_sizes, segment_states):
            assert list(await conn.scalars(select(table.c.segment_id))) == [two]
        await forget(conn, two)
        assert await _count(conn, segment_members) == 1, "it is there"
        assert await _count(conn, segment_changes) == 0


async def _purged(db: Database, now: datetime) -> None:
    async with db.begin() as conn:
        await purge(conn, now)


async def _logged(db: Database) -> int:
    async with db.connect() as conn:
        return await _count(conn, changed_customers)


async def _count(conn: AsyncConnection, table: Any) -> int:
    return int(await conn.scalar(select(func.count()).select_from(table)) or 0)


async def test_a_worker_evaluates_what_was_saved_and_what_is_due(house: House) -> None:
    await changed(house.database, house.settings, external_id="a", city="A")
    one = await made(house.database, city("A"))
    await work_off(house)
    async with house.database.begin() as conn:
        first = await state_of(conn, one)
        assert first is not None
        assert (first.evaluation, first.size) == (1, 1)
        await conn.execute(update(segment_states).values(evaluated_at=utc_now() - timedelta(days=1)))
        term = await acquire(conn, "scheduler", "me", seconds=60)
    assert term is not None
    await refresh_due_segments(house, term, utc_now())
    await tidy_now_and_then(house, term, utc_now())
    await work_off(house)
    async with house.database.connect() as conn:
        second = await state_of(conn, one)
    assert second is not None
    assert (second.evaluation, second.size) == (2, 1)

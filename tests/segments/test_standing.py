"""Standing membership: after each evaluation it is what the rule says, and the feed tells every move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from customers.erasing import erase
from customers.merging import merge
from runtime.database import Database
from runtime.settings import Settings
from segments.context import EvaluationContext
from segments.models import segment_changes, segment_members, segment_sizes, segments
from segments.standing import Evaluated, evaluate
from segments.store import create_segment, update_segment
from tests.segments.people import NOW, appliance, city, make_people, make_records

OLD_GREE = {
    "has": "appliances",
    "where": {
        "all": [
            {"field": "brand", "op": "eq", "value": "Gree"},
            {"field": "installed_on", "op": "older_than", "value": "P8Y"},
        ]
    },
}


async def made(db: Database, rule: Any, name: str = "One") -> int:
    async with db.begin() as conn:
        return (await create_segment(conn, name, rule)).id


async def evaluated(db: Database, segment_id: int, now: datetime = NOW, **options: Any) -> Evaluated:
    async with db.begin() as conn:
        found = await evaluate(conn, segment_id, EvaluationContext(now, "Asia/Shanghai"), **options)
    assert found is not None
    return found


async def standing(db: Database, segment_id: int) -> set[int]:
    async with db.connect() as conn:
        row = segment_members.c
        return set(await conn.scalars(select(row.customer_id).where(row.segment_id == segment_id)))


async def told(db: Database, segment_id: int) -> list[tuple[int, int, bool, bool]]:
    async with db.connect() as conn:
        row = segment_changes.c
        found = select(row.evaluation, row.customer_id, row.entered, row.by_rule).where(row.segment_id == segment_id)
        return [tuple(each) for each in await conn.execute(found.order_by(row.evaluation, row.customer_id))]


async def test_the_first_evaluation_lays_the_ground(db: Database, settings: Settings) -> None:
    async with db.begin() as conn:
        ids = await make_people(
            conn, settings, [{"external_id": n, "city": c} for n, c in (("a", "Xi'an"), ("b", "X"))]
        )
    one = await made(db, city("Xi'an"))
    assert await evaluated(db, one) == Evaluated(1, 1, 1, 0, None)
    assert await standing(db, one) == {ids["a"]}
    assert await told(db, one) == [], "who belongs from the start did not enter"
    async with db.connect() as conn:
        row = (await conn.execute(select(segments))).one()
        assert (row._mapping["count"], row.counted_at) == (1, NOW)
        day = (await conn.execute(select(segment_sizes))).one()
        assert (day.size, day.entered, day.left) == (1, 0, 0)


async def test_only_the_changed_are_looked_at(db: Database, settings: Settings) -> None:
    people = [{"external_id": str(number), "city": "Xi'an"} for number in range(30)]
    async with db.begin() as conn:
        ids = await make_people(conn, settings, people)
    one = await made(db, city("Xi'an"))
    await evaluated(db, one)
    assert await evaluated(db, one, NOW + timedelta(minutes=1)) == Evaluated(2, 30, 0, 0, 0)
    async with db.begin() as conn:
        await make_people(conn, settings, [{"external_id": "1", "city": "Beijing"}, {"external_id": "new"}])
    assert await evaluated(db, one, NOW + timedelta(minutes=2)) == Evaluated(3, 29, 0, 1, 2)
    assert await told(db, one) == [(3, ids["1"], False, False)]
    async with db.begin() as conn:
        await make_records(conn, settings, "appliances", [appliance("2", "n", "Gree", "fridge", "2020-01-01")])
    assert (await evaluated(db, one)).looked_at == 0, "the rule asks for no appliances"


async def test_who_crosses_enters_without_being_touched(db: Database, settings: Settings) -> None:
    async with db.begin() as conn:
        ids = await make_people(conn, settings, [{"external_id": name} for name in "abc"])
        owned = [("a", "2018-11-22"), ("b", "2018-11-23"), ("c", "2018-12-24")]
        records = [appliance(name, name, "Gree", "air_conditioner", day) for name, day in owned]
        await make_records(conn, settings, "appliances", records)
    one = await made(db, OLD_GREE)
    await evaluated(db, one)
    assert await standing(db, one) == {ids["a"]}
    assert (await evaluated(db, one, NOW + timedelta(hours=7))).looked_at == 0, "still the same day in Shanghai"
    assert await evaluated(db, one, NOW + timedelta(hours=9)) == Evaluated(3, 2, 1, 0, 1)
    assert await standing(db, one) == {ids["a"], ids["b"]}


async def test_month_ends_and_leap_days(db: Database, settings: Settings) -> None:
    """What was installed on 29 February is 1 year old on 28 February, since a year before that day is the 28th."""
    rule = {"has": "appliances", "where": {"field": "installed_on", "op": "older_than", "value": "P1Y"}}
    async with db.begin() as conn:
        ids = await make_people(conn, settings, [{"external_id": "leap"}])
        await make_records(conn, settings, "appliances", [appliance("leap", "l", "Gree", "fridge", "2024-02-29")])
    one = await made(db, rule)
    day = datetime(2025, 2, 27, 4, tzinfo=UTC)
    await evaluated(db, one, day)
    for later, members in ((1, set()), (2, {ids["leap"]}), (3, {ids["leap"]})):
        await evaluated(db, one, day + timedelta(days=later))
        assert await standing(db, one) == members, later


async def test_a_changed_rule_tells_so(db: Database, settings: Settings) -> None:
    async with db.begin() as conn:
        ids = await make_people(conn, settings, [{"external_id": "a", "city": "A"}, {"external_id": "b", "city": "B"}])
    one = await made(db, city("A"))
    two = await made(db, {"none": [{"in_segment": one}]}, "Two")
    await evaluated(db, one)
    await evaluated(db, two)
    async with db.begin() as conn:
        await update_segment(conn, one, rule=city("B"))
    assert await evaluated(db, one) == Evaluated(2, 1, 1, 1, None)
    assert await evaluated(db, two) == Evaluated(2, 1, 1, 1, None), "what it refers to has changed"
    assert await told(db, one) == [(2, ids["a"], False, True), (2, ids["b"], True, True)]
    async with db.begin() as conn:
        await update_segment(conn, one, name="Renamed")
    assert (await evaluated(db, one)).looked_at == 0


async def test_merged_and_erased_people_leave(db: Database, settings: Settings) -> None:
    async with db.begin() as conn:
        ids = await make_people(conn, settings, [{"external_id": name, "city": "A"} for name in "abc"])
        ids |= await make_people(conn, settings, [{"external_id": "d"}])
    one = await made(db, city("A"))
    await evaluated(db, one)
    async with db.begin() as conn:
        await merge(conn, ids["d"], ids["a"], now=NOW)
        await erase(conn, ids["b"])
    assert await evaluated(db, one) == Evaluated(2, 2, 1, 1, 3)
    assert await standing(db, one) == {ids["d"], ids["c"]}, "d took over the city of a"
    assert await told(db, one) == [(2, ids["a"], False, False), (2, ids["d"], True, False)]


async def test_changes_under_way_are_seen_by_the_next(db: Database, settings: Settings) -> None:
    """A transaction that began before an evaluation and ends after it is not missed, and is looked at once."""
    async with db.begin() as conn:
        ids = await make_people(conn, settings, [{"external_id": "a"}, {"external_id": "b"}])
    one = await made(db, city("A"))
    await evaluated(db, one)
    async with db.begin() as slow:
        await make_people(slow, settings, [{"external_id": "a", "city": "A"}])
        async with db.begin() as conn:
            await update_segment(conn, await made(db, city("Z"), "other"), name="later numbers")
        assert (await evaluated(db, one)).looked_at == 0
    assert (await evaluated(db, one)).looked_at == 1
    assert await standing(db, one) == {ids["a"]}
    assert (await evaluated(db, one)).looked_at == 0

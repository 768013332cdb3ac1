"""What falls due: the forecast of each day is what happens when the day comes and nothing else does."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid
from runtime.settings import Settings
from segments import engine
from segments.bounds import day_end
from segments.context import EvaluationContext
from segments.forecast import forecast
from tests.segments.people import CONTEXT, appliance, city, make_people, make_records
from tests.segments.rule_answers import SOAK
from tests.segments.rule_maker import SEGMENTS, Maker, add_segments
from tests.segments.rule_values import moments
from tests.segments.rule_worlds import keep, people, with_items_of_their_orders

DUE = {
    "has": "appliances",
    "where": {"field": "next_consumable_due_on", "op": "within_next", "value": "P14D"},
}
TODAY = date(2026, 11, 22)


async def test_filters_fall_due_and_are_overdue(conn: AsyncConnection, settings: Settings) -> None:
    await make_people(conn, settings, [{"external_id": name} for name in "abc"])
    due = (("a", 10), ("b", 20), ("c", 50))
    await make_records(
        conn,
        settings,
        "appliances",
        [
            appliance(name, name, "Gree", "purifier", "2024-01-01")
            | {"next_consumable_due_on": (TODAY + timedelta(days=days)).isoformat()}
            for name, days in due
        ],
    )
    told = await forecast(conn, DUE, CONTEXT, days=30)
    moved = {(day.day - TODAY).days: (day.entered, day.left) for day in told.days if day.entered or day.left}
    assert moved == {6: (1, 0), 11: (0, 1), 21: (0, 1)}
    assert (told.moves, told.entered, told.left, len(told.days)) == (True, 1, 2, 31)
    assert (await forecast(conn, city("A"), CONTEXT)).moves is False
    assert (await forecast(conn, DUE, CONTEXT, salesperson="nobody")).left == 0
    for days in (0, 93):
        with pytest.raises(Invalid, match="days"):
            await forecast(conn, DUE, CONTEXT, days=days)


@pytest.mark.parametrize("seed", range(60 if SOAK else 6))
async def test_it_is_what_happens(conn: AsyncConnection, seed: int) -> None:
    rng = Random(seed)
    world = moments(rng)
    found, pools = people(rng, world, 20)
    rows = [with_items_of_their_orders(one) for one in found]
    maker = Maker(rng, pools, "times", SEGMENTS)
    add_segments(world, maker)
    await keep(conn, rows, world)
    context = EvaluationContext(world.now, world.zone.key)
    for _ in range(6):
        rule = maker.rule()
        told = await forecast(conn, rule, context, days=6)
        before = await _members(conn, rule, context)
        for day in told.days:
            end = day_end(day.day, world.zone) - timedelta(microseconds=1)
            after = await _members(conn, rule, EvaluationContext(end, world.zone.key))
            assert (day.entered, day.left) == (len(after - before), len(before - after)), (day, rule)
            before = after


async def _members(conn: AsyncConnection, rule: object, context: EvaluationContext) -> set[int]:
    return {row.id for row in await conn.execute(await engine.freeze_select(conn, rule, context))}

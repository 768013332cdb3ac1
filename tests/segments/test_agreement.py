"""SQL and a plain Python reading of RULES.md give the same members, for generated rules over generated rows."""

from __future__ import annotations

import json
import os
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from segments import engine
from segments.context import EvaluationContext
from tests.segments.rule_reference import World, belongs
from tests.segments.rule_worlds import ADDRESSES, NOWS, ZONES, Pools, customer, keep, rules, settled, without_row

RULES_PER_WORLD = 40
CASES = int(os.environ.get("HEARTH_RULE_CASES", "600"))  # `make soak` asks for more


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, list[dict[str, Any]], list[Any]]:
    world = World(draw(st.sampled_from(NOWS)), ZoneInfo(draw(st.sampled_from(ZONES))))
    pools = Pools(world)
    people = settled(draw(st.lists(customer(pools), min_size=1, max_size=6)))
    if draw(st.booleans()):
        people[0] = without_row(people[0])
    world.segments = {1: draw(rules(pools, references=False)), 2: {"none": [{"in_segment": 1}]}}
    suppressed = st.fixed_dictionaries({"expires_at": st.none() | pools.instants})
    world.suppressed_addresses = [
        {"kind": ADDRESSES[0]["kind"], "address": ADDRESSES[0]["value"], **row}
        for row in draw(st.lists(suppressed, max_size=1))
    ]
    return world, people, draw(st.lists(rules(pools), min_size=RULES_PER_WORLD, max_size=RULES_PER_WORLD))


@settings(
    max_examples=CASES // RULES_PER_WORLD,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds())
async def test_members_agree(conn: AsyncConnection, drawn: tuple[World, list[dict[str, Any]], list[Any]]) -> None:
    world, people, asked = drawn
    context = EvaluationContext(world.now, world.zone.key)
    savepoint = await conn.begin_nested()
    try:
        await keep(conn, people, world)
        for rule in asked:
            expected = [one["id"] for one in people if belongs(rule, one, world)]
            found = [member.id for member in (await engine.members(conn, rule, context)).items]
            assert found == expected, json.dumps(rule, ensure_ascii=False)
    finally:
        await savepoint.rollback()

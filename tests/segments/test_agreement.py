"""SQL and a plain Python reading of RULES.md give the same members, for generated rules over generated rows."""

from __future__ import annotations

import json
import os
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from segments import engine
from segments.context import EvaluationContext
from tests.segments.rule_reference import World, belongs
from tests.segments.rule_worlds import ADDRESSES, NOWS, ZONES, Pools, customer, expiry, keep, rules, settled

RULES_PER_WORLD = 40
PEOPLE = 60
CASES = int(os.environ.get("HEARTH_RULE_CASES", "600"))  # `make soak` asks for more


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, list[dict[str, Any]], list[Any]]:
    """Rules are hypothesis's to shrink; the rows come from a seed, so that there can be many."""
    world = World(draw(st.sampled_from(NOWS)), ZoneInfo(draw(st.sampled_from(ZONES))))
    pools = Pools(world)
    rng = Random(draw(st.integers(0, 2**32 - 1)))
    people = settled([customer(rng, pools) for _ in range(PEOPLE)])
    world.segments = {1: draw(rules(pools, references=False)), 2: {"none": [{"in_segment": 1}]}}
    held = ADDRESSES[0]
    world.suppressed_addresses = [
        {"kind": held["kind"], "address": held["value"], "expires_at": expiry(rng, pools)}
        for _ in range(rng.randrange(2))
    ]
    return world, people, draw(st.lists(rules(pools), min_size=RULES_PER_WORLD, max_size=RULES_PER_WORLD))


@settings(
    max_examples=CASES // RULES_PER_WORLD,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a world is too large to be shrunk; the message tells the difference
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
            expected = {one["id"] for one in people if belongs(rule, one, world)}
            found = {member.id for member in (await engine.members(conn, rule, context)).items}
            assert found == expected, _told(rule, [one for one in people if one["id"] in found ^ expected], world)
    finally:
        await savepoint.rollback()


def _told(rule: Any, differing: list[dict[str, Any]], world: World) -> str:
    """The rule and the first customer of whom SQL and Python say different things."""
    shown = json.dumps(rule, ensure_ascii=False)
    return f"at {world.now} in {world.zone}: {shown}\n{len(differing)} customers differ, such as {differing[0]}"

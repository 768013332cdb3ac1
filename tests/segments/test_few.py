"""Asking about few customers, whose records are looked up one by one, gives the same answers as asking about all."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import ARRAY, BigInteger, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from segments import engine
from segments.context import EvaluationContext
from segments.models import audience_members
from tests.segments.people import CONTEXT
from tests.segments.rule_reference import World, belongs
from tests.segments.rule_worlds import keep
from tests.segments.test_agreement import worlds


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds())
async def test_few_agree(conn: AsyncConnection, drawn: tuple[World, list[dict[str, Any]], list[Any]]) -> None:
    world, people, asked = drawn
    context = EvaluationContext(world.now, world.zone.key)
    ids = [one["id"] for one in people][::2]
    of_array = select(func.unnest(literal(ids, ARRAY(BigInteger))))
    savepoint = await conn.begin_nested()
    try:
        await keep(conn, people, world)
        for rule in asked:
            expected = {one["id"] for one in people if belongs(rule, one, world)} & set(ids)
            prepared = await engine.prepare(conn, rule, context)
            assert await engine.belonging(conn, prepared, context, ids) == expected, (rule, world.now)
            assert await engine.belonging(conn, prepared, context, of_array) == expected, (rule, world.now)
    finally:
        await savepoint.rollback()


async def test_in_a_statement(conn: AsyncConnection) -> None:
    ids = select(customers.c.id).order_by(customers.c.id)
    await conn.execute(insert(customers), [{"external_id": name} for name in "abc"])
    people = list(await conn.scalars(ids))
    chosen = select(customers.c.id).where(customers.c.id > people[0])
    rule = {"has": "orders", "sum": {"field": "amount", "op": "lte", "value": 0}}
    found = await engine.members_among(conn, rule, CONTEXT, chosen)
    kept = insert(audience_members).from_select(
        ["customer_id", "audience_id"], found.add_columns(literal(7, BigInteger))
    )
    await conn.execute(kept)
    assert set(await conn.scalars(select(audience_members.c.customer_id))) == set(people[1:])
    nobody: list[int] = []
    assert await engine.belonging(conn, rule, CONTEXT, nobody) == set()

"""Estimate, funnel and overlap agree with the count."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid
from runtime.settings import Settings
from segments import engine
from segments.looking import Overlap, estimate, funnel, overlap
from tests.segments.people import CONTEXT, appliance, city, make_people, make_records

OWNERS = {"has": "appliances", "where": {"field": "brand", "op": "eq", "value": "Gree"}}
BUYERS = {"has": "orders", "sum": {"field": "amount", "op": "gt", "value": 300}}
MARRIED = {"field": "household_size", "op": "gte", "value": 2}
ORDERED = {"field": "orders_count", "op": "gte", "value": 1}
PARTS: list[Any] = [OWNERS, {"any": [BUYERS, city("西安")]}, MARRIED, ORDERED]


@pytest.fixture
async def people(conn: AsyncConnection, settings: Settings) -> None:
    """Sixty customers; every condition above holds for some of them."""
    names = [f"C{number}" for number in range(60)]
    sizes = [None, 1, 2, 3]
    town = [
        {"external_id": name, "city": "西安" if at % 3 else "咸阳", "household_size": sizes[at % 4]}
        for at, name in enumerate(names)
    ]
    await make_people(conn, settings, town)
    owned = [appliance(name, name, ("Gree", "Midea")[at % 2], "tv", "2020-01-01") for at, name in enumerate(names[:45])]
    await make_records(conn, settings, "appliances", owned)
    bought = [
        {"number": name, "customer": {"external_id": name}, "status": "completed", "ordered_at": "2026-01-02T03:04:05Z"}
        | {"amount": str(100 * (at % 7))}
        for at, name in enumerate(names[20:])
    ]
    await make_records(conn, settings, "orders", bought)


@pytest.mark.parametrize("kind", ["all", "any", "none"])
async def test_each_step_of_a_funnel_is_a_count(conn: AsyncConnection, people: None, kind: str) -> None:
    async def count(rule: Any) -> int:
        return await engine.count(conn, rule, CONTEXT)

    found = await funnel(conn, {kind: PARTS}, CONTEXT)
    assert (found.everyone, found.count) == (await count({"all": []}), await count({kind: PARTS}))
    assert [step.path for step in found.steps] == [f"{kind}[{index}]" for index in range(4)]
    for index, step in enumerate(found.steps):
        assert step.kept == await count({kind: PARTS[: index + 1]})
        assert step.alone == await count({"all": [PARTS[index]]})
        assert step.without == await count({kind: PARTS[:index] + PARTS[index + 1 :]})
    assert 0 < found.count < found.everyone


async def test_a_condition_alone_is_a_funnel_of_one_step(conn: AsyncConnection, people: None) -> None:
    [step] = (await funnel(conn, OWNERS, CONTEXT)).steps
    assert (step.path, step.kept) == ("", await engine.count(conn, OWNERS, CONTEXT))
    assert (await funnel(conn, {"all": []}, CONTEXT)).steps == []


async def test_an_overlap_adds_up(conn: AsyncConnection, people: None) -> None:
    found = await overlap(conn, OWNERS, MARRIED, CONTEXT)
    assert found.both == await engine.count(conn, {"all": [OWNERS, MARRIED]}, CONTEXT)
    assert found.only_a == await engine.count(conn, {"all": [OWNERS, {"none": [MARRIED]}]}, CONTEXT)
    assert found.only_b == await engine.count(conn, {"all": [MARRIED, {"none": [OWNERS]}]}, CONTEXT)
    assert min(found.only_a, found.both, found.only_b) > 0
    assert await overlap(conn, OWNERS, {"any": []}, CONTEXT) == Overlap(found.only_a + found.both, 0, 0)


async def test_few_customers_are_counted(conn: AsyncConnection, people: None) -> None:
    number = await engine.count(conn, OWNERS, CONTEXT)
    found = await estimate(conn, OWNERS, CONTEXT)
    assert (found.count, found.low, found.high, found.exact) == (number, number, number, True)


@pytest.fixture(params=["ANALYZE customers", "SELECT"], ids=["analysed", "new"])
async def crowd(conn: AsyncConnection, request: pytest.FixtureRequest) -> None:
    """30,000 ids, of which every tenth is missing and every thirtieth an alias: 26,000 customers, a quarter in 西安."""
    statements = [
        "INSERT INTO customers (id, city, city_folded) OVERRIDING SYSTEM VALUE SELECT n, c, c FROM"
        " (SELECT n, CASE WHEN n % 4 = 0 THEN '西安' ELSE '咸阳' END c FROM generate_series(1, 30000) n) x"
        " WHERE n % 10 <> 3",
        "UPDATE customers SET merged_into = 1 WHERE id % 30 = 7",
        request.param,
    ]
    for statement in statements:
        await conn.execute(text(statement))


async def test_an_estimate_is_right_about_19_times_in_20(conn: AsyncConnection, crowd: None) -> None:
    number = await engine.count(conn, city("西安"), CONTEXT)
    found = [await estimate(conn, city("西安"), CONTEXT, seed=seed, small=100, seconds=60) for seed in range(60)]
    assert not any(one.exact for one in found)
    assert sum(one.low <= number <= one.high for one in found) >= 52
    assert abs(sum(one.count for one in found) / 60 - number) < 0.02 * number
    assert max(one.high - one.low for one in found) < 0.2 * number


async def test_an_estimate_stays_while_the_rule_does(conn: AsyncConnection, crowd: None) -> None:
    asked = [await estimate(conn, city("西安"), CONTEXT, small=100, seconds=60) for _ in range(2)]
    assert asked[0] == asked[1]


async def test_an_estimate_stops_when_its_time_is_over(conn: AsyncConnection, crowd: None) -> None:
    assert (await estimate(conn, city("西安"), CONTEXT, small=100, seconds=0)).sampled < 1_200


async def test_rare_ones_and_everyone_are_estimated_honestly(conn: AsyncConnection, crowd: None) -> None:
    rare = await estimate(conn, {"field": "city", "op": "eq", "value": "nowhere"}, CONTEXT, small=100, seconds=60)
    assert (rare.count, rare.low) == (0, 0)
    assert 0 < rare.high < 100
    everyone = await estimate(conn, {"all": []}, CONTEXT, small=100, seconds=60)
    assert everyone.low <= 26_000 <= everyone.high
    assert await engine.count(conn, {"all": []}, CONTEXT) == 26_000
    assert everyone.high - everyone.low < 0.03 * 26_000


@pytest.mark.parametrize("verb", [estimate, funnel])
async def test_problems_are_named_by_their_path(conn: AsyncConnection, verb: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await verb(conn, {"all": [{"field": "colour", "op": "eq", "value": "x"}]}, CONTEXT)
    assert [problem.path for problem in refused.value.problems] == ["all[0].field"]

"""Count, members, sample, explanation and freeze: one compiler, one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import appliances, customers
from runtime.errors import Invalid, NotFound
from runtime.settings import Settings
from segments import engine
from segments.bucket import bucket, bucket_sql
from segments.models import segments
from tests.segments.people import CONTEXT, appliance, city, make_people, make_records

OLD_GREE = {
    "has": "appliances",
    "where": {
        "all": [
            {"field": "category", "op": "eq", "value": "air_conditioner"},
            {"field": "brand", "op": "eq", "value": "GREE"},
            {"field": "installed_on", "op": "older_than", "value": "P8Y"},
        ]
    },
}


@pytest.fixture
async def ids(conn: AsyncConnection, settings: Settings) -> dict[str, int]:
    people = [
        {"external_id": "old", "city": "西安", "salesperson": "S1", "name": "O"},
        {"external_id": "mixed", "city": "西安", "salesperson": "S2"},
        {"external_id": "none", "city": "咸阳", "salesperson": "S1"},
    ]
    found = await make_people(conn, settings, people)
    owned = [
        appliance("old", "1", "Gree", "air_conditioner", "2018-11-22"),
        appliance("old", "2", "Gree", "air_conditioner", "2018-11-23"),
        appliance("mixed", "3", "Gree", "refrigerator", "2010-01-01"),
        appliance("mixed", "4", "Midea", "air_conditioner", "2010-01-01"),
    ]
    await make_records(conn, settings, "appliances", owned)
    return found


async def test_where_is_about_one_and_the_same_record(conn: AsyncConnection, ids: dict[str, int]) -> None:
    page = await engine.members(conn, OLD_GREE, CONTEXT)
    assert [(member.id, member.external_id) for member in page.items] == [(ids["old"], "old")]
    assert await engine.count(conn, OLD_GREE, CONTEXT) == 1


async def test_members_come_in_pages(conn: AsyncConnection, ids: dict[str, int]) -> None:
    everyone = {"all": []}
    first = await engine.members(conn, everyone, CONTEXT, limit=2)
    second = await engine.members(conn, everyone, CONTEXT, limit=2, cursor=first.next)
    exact = await engine.members(conn, everyone, CONTEXT, limit=3)
    assert [[member.id for member in page.items] for page in (first, second)] == [
        sorted(ids.values())[:2],
        sorted(ids.values())[2:],
    ]
    assert (first.next, second.next, exact.next) == (sorted(ids.values())[1], None, None)


async def test_a_salesperson_sees_their_own(conn: AsyncConnection, ids: dict[str, int]) -> None:
    everyone = {"all": []}
    assert await engine.count(conn, everyone, CONTEXT, salesperson="S1") == 2
    page = await engine.members(conn, everyone, CONTEXT, salesperson="S2")
    assert [member.external_id for member in page.items] == ["mixed"]
    people = await engine.sample(conn, OLD_GREE, CONTEXT, salesperson="S1")
    assert [(person.external_id, person.name, person.city) for person in people] == [("old", "O", "西安")]
    with pytest.raises(NotFound):
        await engine.explain(conn, everyone, CONTEXT, ids["mixed"], salesperson="S1")


async def test_merged_customers_are_nobody(conn: AsyncConnection, ids: dict[str, int]) -> None:
    alias = customers.update().where(customers.c.id == ids["none"]).values(merged_into=ids["old"])
    await conn.execute(alias)
    assert await engine.count(conn, {"all": []}, CONTEXT) == 2
    with pytest.raises(NotFound):
        await engine.explain(conn, {"all": []}, CONTEXT, ids["none"])


async def test_an_explanation_says_which_conditions_hold(conn: AsyncConnection, ids: dict[str, int]) -> None:
    rule = {"all": [city("西安"), {"none": [OLD_GREE, {"field": "birthday", "op": "not_empty"}]}]}
    for name, member, holds in (("old", False, (True, True, False)), ("mixed", True, (True, False, False))):
        found = await engine.explain(conn, rule, CONTEXT, ids[name])
        assert found.member is member
        assert [(held.path, held.holds) for held in found.conditions] == list(
            zip(("all[0]", "all[1].none[0]", "all[1].none[1]"), holds, strict=True)
        )
    alone = await engine.explain(conn, city("西安"), CONTEXT, ids["none"])
    assert (alone.member, [(held.path, held.holds) for held in alone.conditions]) == (False, [("", False)])
    with pytest.raises(NotFound):
        await engine.explain(conn, rule, CONTEXT, 10**12)


async def test_a_freeze_leaves_out_what_is_excluded(conn: AsyncConnection, ids: dict[str, int]) -> None:
    unknown = {"field": "birthday", "op": "before", "value": "2000-01-01"}  # missing: nobody is excluded by it
    frozen = await engine.freeze_select(conn, {"all": []}, CONTEXT, exclude=[OLD_GREE, unknown])
    rows = (await conn.execute(frozen.add_columns(customers.c.external_id).order_by(customers.c.id))).all()
    assert [row.external_id for row in rows] == ["mixed", "none"]


async def test_segments_are_written_out_for_a_snapshot(conn: AsyncConnection, ids: dict[str, int]) -> None:
    await conn.execute(
        insert(segments),
        [
            {"id": 1, "name": "gree", "rule": OLD_GREE},
            {"id": 2, "name": "rest", "rule": {"none": [{"in_segment": 1}]}},
        ],
    )
    rule = {"all": [city("西安"), {"in_segment": 2}]}
    expanded = await engine.expand(conn, rule)
    assert expanded == {"all": [city("西安"), {"none": [OLD_GREE]}]}
    assert await engine.expand(conn, {"in_segment": 1}) == OLD_GREE
    before = await engine.count(conn, rule, CONTEXT)
    await conn.execute(segments.update().values(rule={"any": []}))
    frozen = await engine.freeze_select(conn, expanded, CONTEXT)
    assert before == len((await conn.execute(frozen)).all()) == 1


async def test_the_records_that_made_the_rule_hold(conn: AsyncConnection, ids: dict[str, int]) -> None:
    await conn.execute(insert(segments), [{"id": 1, "name": "gree", "rule": OLD_GREE}])

    async def numbers(rule: Any) -> list[str] | None:
        condition = await engine.record_condition(conn, rule, CONTEXT, "appliances")
        if condition is None:
            return None
        found = select(appliances.c.number).where(condition).order_by(appliances.c.number)
        return list(await conn.scalars(found))

    fridge = {"has": "appliances", "where": {"field": "category", "op": "eq", "value": "refrigerator"}}
    assert await numbers(OLD_GREE) == ["1"]
    assert await numbers({"any": [{"in_segment": 1}, fridge]}) == ["1", "3"]
    assert await numbers({"none": [{"none": [fridge]}]}) == ["3"]
    assert await numbers({"all": [city("西安"), {"none": [OLD_GREE]}]}) is None
    assert await numbers({**OLD_GREE, "count": {"op": "eq", "value": 0}}) is None
    assert await numbers({"has": "appliances"}) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"all": [{"in_segment": 99}]}, "all[0].in_segment: there is no segment 99"),
        ({"in_audience": 99}, "in_audience: there is no audience 99"),
        ({"none": [{"field": "name", "op": "matches", "value": "a("}]}, "none[0].value: invalid regular expression"),
        ({"field": "town", "op": "eq", "value": "x"}, "field: unknown field 'town'"),
    ],
)
async def test_bad_references_and_patterns_are_named(conn: AsyncConnection, rule: Any, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        await engine.count(conn, rule, CONTEXT)
    assert str(refused.value).startswith(said)
    assert await conn.scalar(text("SELECT 1")) == 1  # the transaction goes on


async def test_a_pattern_that_never_ends_is_stopped(conn: AsyncConnection, ids: dict[str, int]) -> None:
    hurried = replace(CONTEXT, pattern_seconds=0.2)
    await conn.execute(customers.update().values(name="a" * 1_001 + "b"))
    slow = {"field": "name", "op": "matches", "value": r"^(a+)(a+)(a+)\1\2\3b$"}
    with pytest.raises(Invalid, match="longer than"):
        await engine.count(conn, slow, hurried)
    assert await conn.scalar(text("SHOW statement_timeout")) == "0"
    assert await engine.count(conn, {"field": "name", "op": "matches", "value": "^a+b$"}, CONTEXT) == 3
    assert await conn.scalar(text("SHOW statement_timeout")) == "0"


async def test_buckets_are_the_same_in_sql_and_python(conn: AsyncConnection) -> None:
    people = [{"id": number} for number in [*range(1, 400), 2**40, 2**62]]
    await conn.execute(insert(customers), people)
    for prefix, buckets in (("rule:", 10_000), ("batch:7:", 13), ("", 2**31 - 1)):
        rows = await conn.execute(select(customers.c.id, bucket_sql(prefix, customers.c.id, buckets)))
        assert all(found == bucket(prefix, number, buckets) for number, found in rows)
    assert [bucket("rule:", number) for number in (1, 2, 3, 1_000_000)] == [1770, 5416, 3104, 3432]


async def test_deeply_nested_snapshots_compile(conn: AsyncConnection) -> None:
    rule: dict[str, Any] = city("西安")
    for depth in range(99):
        rule = {"any" if depth % 2 else "all": [rule, city("咸阳")]}
    frozen = await engine.freeze_select(conn, rule, CONTEXT)
    assert (await conn.execute(frozen)).all() == []

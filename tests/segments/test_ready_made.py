"""The trade's ready-made segments: filled in with what the workspace has, accepted as rules, meaning what they say."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import activity
from customers.ranks import refresh_ranks
from customers.reference import Category, save_category
from runtime import registry
from runtime.errors import Invalid, NotFound
from runtime.registry import ChannelKind, channel_kinds
from runtime.settings import Settings
from segments import engine, store
from segments.models import segments
from segments.ready_made import ReadyMade, ready_made, written
from segments.recipe_words import INTENTIONS, TOLD
from segments.recipes import RECIPES, Recipe
from tests.segments.people import CONTEXT, NOW, appliance, make_people, make_records

TODAY = date(2026, 11, 22)


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.code)
def test_a_recipe_is_told_in_both_languages_and_leaves_no_parameter_out(recipe: Recipe) -> None:
    told = TOLD[recipe.code]
    known = {*recipe.parameters, *([recipe.per.parameter] if recipe.per else [])}
    assert placeholders(json.dumps(recipe.rule)) == known
    for words in (told.name, told.description, told.advice, told.title or told.name):
        assert placeholders(words[0]) == placeholders(words[1]) <= known
        assert re.search(r"[\u4e00-\u9fff]", words[1])
    assert (told.title is not None) == (recipe.per is not None)
    if recipe.per:
        assert recipe.per.parameter in placeholders(told.name[0])
    assert recipe.intention in INTENTIONS


def test_recipes_name_no_channel_and_each_is_there_once() -> None:
    assert not set(re.findall(r"\w+", json.dumps([recipe.rule for recipe in RECIPES]))) & set(channel_kinds())
    assert [*TOLD] == [recipe.code for recipe in RECIPES]
    assert len({*TOLD}) == len(RECIPES)


@pytest.fixture
async def trade(conn: AsyncConnection, settings: Settings) -> dict[str, int]:
    """A few customers, every one with a reason of their own."""
    who = ("old", "new", "filter", "bought", "visited", "rhythm", "steady", "tagalong")
    ids = await make_people(conn, settings, [{"external_id": name, "community": f"at {name}"} for name in who])
    fridge = {"warranty_until": "2026-12-01", "next_consumable_due_on": None}
    due = {"next_consumable_due_on": "2026-12-06", "warranty_until": "2026-10-01"}
    await make_records(conn, settings, "appliances", [
        appliance("old", "1", "Gree", "air_conditioner", "2017-01-20"),  # ten years on 2027-01-20
        appliance("new", "2", "Gree", "air_conditioner", "2025-01-01"),
        {**appliance("filter", "3", "Angel", "water_purifier", "2025-01-01"), **due},
        {**appliance("tagalong", "4", "Haier", "refrigerator", "2010-01-01"), **fridge, "status": "replaced"},
    ])  # fmt: skip
    await save_category(conn, Category("water_purifier", "Water purifier", "净水器"))
    days = {
        "bought": ["2026-08-10"], "visited": ["2026-08-10"], "new": ["2026-11-01"],
        "rhythm": ["2025-01-01", "2025-03-01", "2025-05-01"], "steady": ["2024-01-01", "2025-01-01", "2026-01-01"],
    }  # fmt: skip
    await make_records(conn, settings, "orders", [
        {"number": f"{name}{place}", "customer": {"external_id": name}, "ordered_at": day, "amount": 100}
        for name, those in days.items() for place, day in enumerate(those)
    ])  # fmt: skip
    await make_records(conn, settings, "service_visits", [
        {"number": "V", "customer": {"external_id": "visited"}, "kind": "repair", "status": "completed",
         "satisfaction": 2, "completed_at": "2026-10-01T10:00:00+08:00"},
    ])  # fmt: skip
    await conn.execute(update(activity).values(last_contacted_at=NOW).where(activity.c.customer_id == ids["old"]))
    await refresh_ranks(conn)
    return ids


async def members(conn: AsyncConnection, one: ReadyMade) -> set[str | None]:
    return {member.external_id for member in (await engine.members(conn, one.rule, CONTEXT)).items}


@pytest.mark.usefixtures("trade")
@pytest.mark.parametrize(
    ("code", "given", "expected"),
    [
        ("replacement_due", {"category": "air_conditioner"}, {"old"}),
        ("replacement_due", {"category": "air_conditioner", "days": "30"}, set()),
        ("replacement_due", {"category": "refrigerator"}, set()),
        ("community_day", {"community": "at old"}, {"old"}),
        ("community_day", {"community": "at new"}, set()),
        ("consumable_due", {"category": "water_purifier"}, {"filter"}),
        ("consumable_due", {"category": "water_purifier", "days": "13"}, set()),
        ("warranty_ending", {}, set()),
        ("warranty_ended", {}, {"filter"}),
        ("new_customers", {}, {"new"}),
        ("no_follow_up", {}, {"bought"}),
        ("one_purchase", {}, {"bought", "visited"}),
        ("at_risk", {}, {"rhythm"}),
        ("at_risk", {"orders": "4"}, set()),
        ("lapsed", {"years": "1"}, {"rhythm"}),
        ("unhappy_with_repair", {}, {"visited"}),
        ("never_contacted", {}, {"new", "filter", "bought", "visited", "rhythm", "steady", "tagalong"}),
        ("reachable", {"channel": "email"}, set()),
    ],
)
async def test_it_finds_whom_it_says(
    conn: AsyncConnection, code: str, given: dict[str, str], expected: set[str]
) -> None:
    assert await members(conn, await written(conn, code, given)) == expected


@pytest.mark.usefixtures("trade")
async def test_categories_in_use_and_channels_make_one_each(
    conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._channels, "pigeon", ChannelKind("pigeon", "loft"))
    offered = await ready_made(conn, TODAY)
    own = {code: [one.parameters for one in offered if one.code == code] for code in TOLD}
    assert own["replacement_due"] == [{"days": 90, "category": "air_conditioner"}]  # no fridge is in use
    assert own["consumable_due"] == [{"days": 14, "category": "water_purifier"}]
    assert own["reachable"] == [{"channel": "email"}, {"channel": "pigeon"}]
    assert own["community_day"] == [{"days": 180, "community": "at old"}]
    assert all(own.values())
    for one in offered:
        await store.create_segment(conn, one.name[0], one.rule)
    assert all(one.segment_id for one in await ready_made(conn, TODAY))


async def test_it_knows_the_segment_that_was_made_of_it(conn: AsyncConnection) -> None:
    one = await written(conn, "at_risk", {})
    assert one.segment_id is None
    kept = await store.create_segment(conn, "Mine", one.rule)
    assert (await written(conn, "at_risk", {})).segment_id == kept.id
    assert (await written(conn, "at_risk", {"days": "31"})).segment_id is None
    await store.update_segment(conn, kept.id, rule={"all": []})
    assert (await written(conn, "at_risk", {})).segment_id is None


async def test_a_rule_that_went_through_the_builder_is_the_same(conn: AsyncConnection) -> None:
    one = await written(conn, "no_follow_up", {})
    orders, contact, visits = one.rule["all"]
    rule = {"all": [{**orders, "count": {"op": "gte", "value": 1}}, {"any": [contact]},
                    {**visits, "where": {"all": [visits["where"]]}}]}  # fmt: skip
    assert (await store.create_segment(conn, "Mine", rule)).id
    assert (await written(conn, "no_follow_up", {})).segment_id is not None
    other = {"all": [orders, contact, {**visits, "count": {"op": "gte", "value": 1}}]}
    await conn.execute(update(segments).values(rule=other))
    assert (await written(conn, "no_follow_up", {})).segment_id is None


async def test_parameters_are_told_where_they_are_not_the_usual_ones(conn: AsyncConnection) -> None:
    one = await written(conn, "replacement_due", {"category": "refrigerator", "days": "7", "more": "x"})
    assert one.name == ("Due for replacement: Refrigerator", "该换新了：冰箱")
    assert "7 days" in one.description[0]
    assert one.parameters == {"days": 7, "category": "refrigerator"}


@pytest.mark.parametrize(
    ("code", "given", "path"),
    [
        ("at_risk", {"days": "0"}, "days"),
        ("at_risk", {"days": "3651"}, "days"),
        ("at_risk", {"days": "-1"}, "days"),
        ("at_risk", {"orders": "²"}, "orders"),
        ("at_risk", {"orders": ""}, "orders"),
        ("replacement_due", {}, "category"),
        ("replacement_due", {"category": "{days}"}, "category"),
        ("reachable", {"channel": "telepathy"}, "channel"),
        ("community_day", {"community": "nowhere"}, "community"),
    ],
)
async def test_a_value_that_is_not_there_is_refused(
    conn: AsyncConnection, code: str, given: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await written(conn, code, given)
    assert [problem.path for problem in refused.value.problems] == [path]


async def test_an_unknown_one_is_not_found(conn: AsyncConnection) -> None:
    with pytest.raises(NotFound):
        await written(conn, "gold_rush", {})

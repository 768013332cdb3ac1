"""What the segment builder asks while a rule is written, and the overlap of two segments."""

from __future__ import annotations

import asyncio
import json
import re
from html import unescape
from math import pi
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import text

from runtime.house import House
from segments import store
from tests.waiting import until
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, put, text_of, value_of
from web.app import STATIC
from web.builder_words import BUILDER_WORDS
from web.venn import Circle, venn

XIAN: Any = {"all": [{"field": "city", "op": "in", "value": ["西安"]}]}
BROKEN: Any = {"all": [{"field": "city", "op": "eq", "value": "x"}, {"field": "city", "op": "in"}]}


async def keep(house: House, name: str, rule: Any = XIAN) -> int:
    async with house.database.begin() as conn:
        return (await store.create_segment(conn, name, rule)).id


async def told(client: httpx.AsyncClient, what: str, rule: Any = XIAN) -> Any:
    answer = await client.post(f"/segments/{what}", json={"rule": rule})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_estimate_comes_with_the_sentence(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    client = await sign_in("marketer")
    found = await told(client, "estimate")
    assert (found["problems"], found["count"], found["exact"]) == ([], 1, True)
    assert found["sentence"] == "Customers in 西安"
    assert (await told(await sign_in("marketer", language="zh"), "estimate"))["sentence"] == "在西安的客户"


async def test_the_preview_counts_and_shows_people(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    found = await told(await sign_in("marketer"), "preview")
    assert found["count"] == 1
    assert found["took_ms"] > 0
    assert "王小明" in found["html"]
    assert "李雷" not in found["html"]


async def test_the_funnel_tells_what_each_condition_leaves(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    rule = {"all": [*XIAN["all"], {"field": "name", "op": "empty"}]}
    found = await told(await sign_in("marketer"), "funnel", rule)
    assert (found["everyone"], found["count"]) == (2, 0)
    assert [(step["path"], step["kept"], step["without"]) for step in found["steps"]] == [
        ("all[0]", 1, 0),
        ("all[1]", 0, 1),
    ]


@pytest.mark.parametrize("what", ["estimate", "preview", "funnel"])
async def test_what_is_wrong_is_told_by_its_path(sign_in: SignIn, what: str) -> None:
    client = await sign_in("marketer")
    assert [problem["path"] for problem in (await told(client, what, BROKEN))["problems"]] == ["all[1].value"]
    assert (await told(client, what, None))["problems"]
    assert (await client.post(f"/segments/{what}", content="{")).status_code == 422


async def test_nobody_waits_and_the_database_stops(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def blocked() -> int:
        async with house.database.connect() as conn:
            return int((await conn.execute(waiting)).scalar_one())

    async with house.database.begin() as lock:
        await lock.execute(text("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"))
        asking = asyncio.ensure_future(client.post("/segments/preview", json={"rule": XIAN}))
        await until(lambda: _is(blocked, 1))
        asking.cancel()
        await until(lambda: _is(blocked, 0))


async def _is(number: Any, wanted: int) -> bool:
    return bool(await number() == wanted)


async def test_values_of_the_data_are_offered_by_the_names_people_use(sign_in: SignIn, house: House) -> None:
    await put(house, "communities", {"code": "QJ", "name": "曲江明月府"})
    await put(house, "customers", WANG, LI, {**WANG, "external_id": "C3", "email": None, "phone": None})
    owner = {"customer": {"external_id": "C1"}}
    await put(house, "appliances", {**owner, "number": "A1", "category": "air_conditioner", "status": "in_use"})
    client = await sign_in("marketer", language="zh")

    async def offered(**asked: str) -> list[tuple[str, str, int]]:
        answer = await client.get("/segments/suggest", params=asked)
        return [(one["value"], one["name"], one["count"]) for one in answer.json()]

    assert await offered(source="", field="city") == [("西安", "西安", 2), ("咸阳", "咸阳", 1)]
    assert await offered(source="", field="city", q="咸") == [("咸阳", "咸阳", 1)]
    assert await offered(source="", field="community") == [("QJ", "曲江明月府", 2)]
    assert await offered(source="", field="community", q="明月") == [("QJ", "曲江明月府", 2)]
    assert await offered(source="appliances", field="category") == [("air_conditioner", "空调", 1)]
    assert await offered(source="appliances", field="status") == [("in_use", "使用中", 1)]
    assert await offered(source="", field="email") == []
    assert (await client.get("/segments/suggest?source=yachts&field=x")).status_code == 422


async def test_a_new_segment_begins_with_the_rule_in_the_address(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    page = await client.get(f"/segments/new?{urlencode({'rule': json.dumps(XIAN)})}")
    assert json.loads(value_of(page, "rule")) == XIAN
    assert (await client.get("/segments/new?rule=%7B")).status_code == 200


async def test_what_was_refused_is_handed_to_the_builder(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    answer = await client.post("/segments/new", data={"name": "x", "rule": json.dumps(BROKEN)})
    assert answer.status_code == 422
    found = re.search(r'data-problems="([^"]*)"', answer.text)
    assert found is not None
    assert [one["path"] for one in json.loads(unescape(found[1]))] == ["all[1].value"]


async def test_two_segments_are_laid_over_each_other(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    town, everybody = await keep(house, "Town"), await keep(house, "Everybody", {"all": []})
    client = await sign_in("marketer")
    assert "Choose two segments" in text_of(await client.get("/segments/overlap"))
    page = await client.get(f"/segments/overlap?a={town}&b={everybody}")
    told = text_of(page)
    for words in ("Only Town 0 0%", "Both 1 50%", "Only Everybody 1 50%"):
        assert words in told, words
    rule = {"all": [{"in_segment": town}, {"in_segment": everybody}]}
    assert urlencode({"rule": json.dumps(rule, separators=(",", ":"))}) in page.text
    assert (await client.get("/segments/overlap?a=999&b=1")).status_code == 404
    looked = await (await sign_in("analyst")).get(f"/segments/overlap?a={town}&b={everybody}")
    assert "/segments/new" not in looked.text


async def test_the_rule_being_written_is_laid_over_a_segment(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    town = await keep(house, "Town")
    client = await sign_in("marketer")
    answer = await client.post("/segments/overlap", json={"rule": {"all": []}, "other": town})
    for words in ("Only this rule", "Only Town", "50%"):
        assert words in answer.json()["html"]
    refused: list[Any] = [{"rule": {"all": []}}, [], {"rule": {"all": [{}]}, "other": town}]
    refused += [{"rule": {"all": []}, "other": other} for other in (True, 10**30, None, [town])]
    for body in refused:
        assert (await client.post("/segments/overlap", json=body)).status_code == 422
    assert (await client.post("/segments/overlap", json={"rule": {"all": []}, "other": 99})).status_code == 404


def area(circle: Circle) -> float:
    return pi * circle.radius**2


def test_circles_have_the_areas_of_what_they_stand_for() -> None:
    picture = venn(300, 100, 100)
    assert area(picture.a) / area(picture.b) == pytest.approx(2, rel=0.02)
    assert picture.a.x < picture.b.x < picture.a.x + picture.a.radius
    apart = venn(10, 0, 10)
    assert apart.b.x - apart.a.x > apart.a.radius + apart.b.radius
    inside = venn(90, 10, 0)
    assert inside.b.x + inside.b.radius <= inside.a.x + inside.a.radius + 0.5
    for one in (picture, apart, inside, venn(0, 5, 0), venn(0, 0, 7), venn(1, 0, 10**6)):
        assert min(one.a.x - one.a.radius, one.b.x - one.b.radius) >= -15
        assert max(one.a.x + one.a.radius, one.b.x + one.b.radius) <= 335


def test_the_builder_says_only_words_that_it_is_given() -> None:
    scripts = (STATIC / "builder").glob("*.js")
    source = "\n".join(path.read_text() for path in [*scripts, STATIC / "builder.js"])
    used = set(re.findall(r"\bwords\.(\w+)", source))
    built = {f"said_{name}" for name in ("move_up", "move_down", "duplicate", "wrap", "unwrap")}
    built |= {f"{prefix}{kind}" for prefix in ("", "where_", "joint_") for kind in ("all", "any", "none")}
    built |= {"D", "W", "M", "Y", "H", "exists", "no_such", "count", "sum", "avg", "min", "max"}
    built |= {name.removeprefix("said_") for name in built if name.startswith("said_")} | {"in_segment", "in_audience"}
    assert used | built == set(BUILDER_WORDS)

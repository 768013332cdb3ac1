"""The gallery of ready-made segments: by intention, counted when looked at, used or added."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from runtime.house import House
from segments import looking, store
from segments.recipes import RECIPES
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, put, text_of, value_of
from web.pages import ready_made as gallery

AT_RISK = {"code": "at_risk", "orders": "3", "days": "30"}


@pytest.fixture
async def owner(house: House) -> None:
    await put(house, "customers", WANG, LI)
    old = {"category": "refrigerator", "installed_on": "2010-01-01"}
    await put(house, "appliances", {"customer": {"external_id": "C1"}, "number": "1", **old})


@pytest.mark.usefixtures("owner")
async def test_the_gallery_is_grouped_and_told_in_both_languages(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    assert 'hx-get="/segments/ready-made"' in (await client.get("/segments")).text
    told = text_of(await client.get("/segments/ready-made"))
    for words in ("Replacement", "Due for replacement", "Refrigerator", "At risk: quieter than usual", "Reach",
                  "by their own rhythm the next order is 30 days late"):  # fmt: skip
        assert words in told, words
    assert "Add:" not in told
    chinese = text_of(await (await sign_in("marketer", language="zh")).get("/segments/ready-made"))
    for words in ("换新", "冰箱", "有流失风险"):
        assert words in chinese, words
    part = await client.get("/segments/ready-made", headers={"HX-Request": "true", "HX-Target": "gallery"})
    assert part.text.strip().startswith('<div id="gallery"')


@pytest.mark.usefixtures("owner")
async def test_numbers_come_intention_by_intention(
    sign_in: SignIn, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await sign_in("analyst")
    page = (await client.get("/segments/ready-made")).text
    places = set(re.findall(r'id="ready-count-(\w+)"', page))
    filled = set()
    for intention in {recipe.intention for recipe in RECIPES}:
        answer = await client.get("/segments/ready-made/counts", params={"intention": intention})
        assert answer.text.count("hx-swap-oob") > 0
        filled |= set(re.findall(r'id="ready-count-(\w+)"', answer.text))
    assert filled == places
    told = re.search(r'title="([^"]*service life[^"]*)">Refrigerator', page)
    assert told is not None
    assert "efrigerator" in unescape(told[1])
    replacing = await client.get("/segments/ready-made/counts?intention=replacement")
    assert ">1</span>" in replacing.text
    assert "≈" not in replacing.text
    assert (await client.get("/segments/ready-made/counts?intention=x")).text.strip() == ""
    await put(house, "customers", *({"external_id": f"X{number}"} for number in range(40)))
    usual = looking.estimate.__kwdefaults__ or {}
    monkeypatch.setitem(usual, "small", 0)
    assert "≈" not in (await client.get("/segments/ready-made/counts?intention=reach")).text  # so few are counted
    monkeypatch.setattr(gallery, "FEW", 0)
    assert "≈" in (await client.get("/segments/ready-made/counts?intention=reach")).text


async def test_use_opens_the_builder_with_the_rule_and_saves_nothing(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer")
    form = await client.get("/segments/new?ready_made=at_risk&days=45")
    assert value_of(form, "name") == "At risk: quieter than usual"
    assert json.loads(value_of(form, "rule"))["all"][1]["value"] == "P45D"
    assert (await client.get("/segments/new?ready_made=gold_rush")).status_code == 404
    assert (await client.get("/segments/new?ready_made=at_risk&days=x")).status_code == 422
    async with house.database.connect() as conn:
        assert (await conn.execute(store.segment_rows())).all() == []


async def test_add_keeps_it_once_and_marks_it(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer", name="Mei")
    assert (await client.post("/segments/ready-made/add", data=AT_RISK)).headers["location"] == "/segments"
    row = await client.post("/segments/ready-made/add", data=AT_RISK, headers={"HX-Request": "true"})
    assert "Added" in text_of(row)
    assert json.loads(row.headers["HX-Trigger"])["toast"]["kind"] == "success"
    async with house.database.connect() as conn:
        kept = [store.segment_of(one) for one in await conn.execute(store.segment_rows())]
    assert [(one.name, one.created_by) for one in kept] == [("At risk: quieter than usual", "Mei")]
    assert "Ask what they lack" in kept[0].description
    page = await client.get("/segments/ready-made")
    assert f'href="/segments/{kept[0].id}"' in page.text
    chinese = await sign_in("marketer", language="zh")
    await chinese.post("/segments/ready-made/add", data={"code": "lapsed", "years": "2"})
    assert "沉睡客户" in text_of(await chinese.get("/segments"))


async def test_a_name_that_is_taken_is_said(sign_in: SignIn, house: House) -> None:
    async with house.database.begin() as conn:
        await store.create_segment(conn, "Lapsed", {"all": []})
    client = await sign_in("marketer")
    refused = await client.post("/segments/ready-made/add", data={"code": "lapsed"}, headers={"HX-Request": "true"})
    assert refused.status_code == 422
    assert "already" in refused.text


async def test_analysts_add_nothing_and_salespeople_see_nothing(sign_in: SignIn) -> None:
    assert (await (await sign_in("analyst")).post("/segments/ready-made/add", data=AT_RISK)).status_code == 403
    salesperson = await sign_in("salesperson", salesperson="s1")
    for path in ("/segments/ready-made", "/segments/ready-made/counts"):
        assert (await salesperson.get(path)).status_code == 403


@pytest.mark.usefixtures("owner")
async def test_the_api_gives_rules_that_can_be_kept(api: OpenApi) -> None:
    client = await api("marketer")
    listed = (await client.get("/segments/ready-made")).json()
    assert listed["next"] is None
    for one in listed["items"]:
        made = await client.post("/segments", json={"name": one["name"], "rule": one["rule"]})
        assert made.status_code == 201, made.text
    again = (await client.get("/segments/ready-made")).json()["items"]
    assert all(one["segment_id"] for one in again)
    fridge = next(one for one in again if one["parameters"].get("category") == "refrigerator")
    assert fridge["name"] == "Due for replacement: Refrigerator"
    assert (await client.get(f"/segments/{fridge['segment_id']}/count")).json() == {"count": 1}

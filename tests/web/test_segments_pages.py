"""Segments in the console: list, page, form with live preview, deletion."""

from __future__ import annotations

import json
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from runtime.clock import local_date, utc_now
from runtime.house import House
from segments import store
from segments.context import context_at
from segments.models import segment_sizes, segments
from segments.standing import evaluate
from tests.campaigns.scene import launched
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, invalid_fields, links, next_page, put, text_of, value_of

XIAN: Any = {"all": [{"field": "city", "op": "in", "value": ["西安"]}]}
ROW = r"/segments/\d+"


async def keep(house: House, name: str, rule: Any = XIAN, **more: Any) -> int:
    async with house.database.begin() as conn:
        return (await store.create_segment(conn, name, rule, **more)).id


def form(name: str = "Town", rule: Any = XIAN, **more: str) -> dict[str, str]:
    return {"name": name, "rule": rule if isinstance(rule, str) else json.dumps(rule), **more}


async def test_the_list_is_searched_sorted_and_paged(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    for name in ("Bee", "Ant", "Cow"):
        await keep(house, name, description="of animals" if name == "Cow" else "")
    client = await sign_in("analyst")
    assert links(await client.get("/segments"), ROW) == ["Ant", "Bee", "Cow"]
    first = await client.get("/segments?sort=-name&limit=2")
    assert links(first, ROW) == ["Cow", "Bee"]
    assert links(await client.get(next_page(first)), ROW) == ["Ant"]
    assert links(await client.get("/segments?q=animal"), ROW) == ["Cow"]
    assert "Customers in 西安" in text_of(await client.get("/segments"))
    assert "/segments/new" not in first.text


async def test_a_segment_that_was_never_counted_counts_itself(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    segment = await keep(house, "Town")
    client = await sign_in("analyst")
    assert f'hx-get="/segments/{segment}/count"' in (await client.get("/segments")).text
    assert (await client.get(f"/segments/{segment}/count")).text == "1"
    assert f"/segments/{segment}/count" in (await client.get("/segments")).text, "looking writes nothing"
    async with house.database.begin() as conn:
        await evaluate(conn, segment, context_at(utc_now(), house.settings))
    assert "/count" not in (await client.get("/segments")).text


async def test_a_page_shows_who_belongs(sign_in: SignIn, house: House) -> None:
    await put(house, "communities", {"code": "QJ", "name": "曲江明月府"})
    await put(house, "customers", WANG, LI)
    segment = await keep(house, "Town")
    page = await (await sign_in("analyst")).get(f"/segments/{segment}")
    told = text_of(page)
    for words in ("Members 1", "Customers in 西安", "王小明", "曲江明月府"):
        assert words in told, words
    assert "李雷" not in told
    assert "Delete" not in told
    chinese = await (await sign_in("analyst", language="zh")).get(f"/segments/{segment}")
    assert "在西安的客户" in text_of(chinese)


async def test_a_segment_is_made_changed_and_deleted(sign_in: SignIn, house: House) -> None:
    client = await sign_in("marketer", name="Mei")
    made = await client.post("/segments/new", data=form(description="in town"))
    assert made.status_code == 303
    path = made.headers["location"]
    assert "The segment is saved." in (await client.get(path)).text
    edit = await client.get(f"{path}/edit")
    assert 'value="Town"' in edit.text
    assert "in town" in edit.text
    assert json.loads(value_of(edit, "rule")) == XIAN
    rule = {"all": [{"field": "city", "op": "empty"}]}
    assert (await client.post(f"{path}/edit", data=form("Nowhere", rule))).status_code == 303
    async with house.database.connect() as conn:
        row = (await conn.execute(select(segments))).mappings().one()
    assert (row["name"], row["rule"], row["created_by"]) == ("Nowhere", rule, "Mei")
    assert (await client.post(f"{path}/delete", data={"confirm": "Town"})).status_code == 422
    assert (await client.post(f"{path}/delete", data={"confirm": "Nowhere"})).headers["location"] == "/segments"
    assert (await client.get(path)).status_code == 404


async def test_a_segment_in_use_stays_and_says_who_uses_it(sign_in: SignIn, house: House) -> None:
    segment = await keep(house, "Town")
    await keep(house, "Around it", {"in_segment": segment})
    client = await sign_in("marketer")
    refused = await client.post(f"/segments/{segment}/delete", data={"confirm": "Town"})
    assert refused.headers["location"] == f"/segments/{segment}"
    assert "Around it" in text_of(await client.get(f"/segments/{segment}"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (form(name=""), "is missing"),
        (form(name="Taken"), "already"),
        (form(rule={"all": [{"field": "colour", "op": "eq", "value": 1}]}), "all[0].field"),
        (form(rule={"all": [{"in_segment": 99}]}), "99"),
        (form(rule="{"), "is not JSON"),
        (form(rule="[" * 100_000), "is not JSON"),
        ({"name": "x"}, "is not JSON"),
    ],
)
async def test_a_bad_form_is_shown_again_with_what_is_wrong(
    sign_in: SignIn, house: House, fields: dict[str, str], said: str
) -> None:
    segment = await keep(house, "Mine")
    await keep(house, "Taken")
    client = await sign_in("marketer")
    for path in ("/segments/new", f"/segments/{segment}/edit"):
        answer = await client.post(path, data=fields)
        assert answer.status_code == 422
        assert said in unescape(answer.text)
        assert 'id="builder"' in answer.text
    if fields["name"] in ("", "Taken"):
        assert invalid_fields(answer) == {"name"}


async def test_a_segment_leads_to_a_campaign(sign_in: SignIn, house: House) -> None:
    segment = await keep(house, "Town")
    client = await sign_in("marketer")
    assert f'href="/campaigns/new?segment={segment}"' in (await client.get(f"/segments/{segment}")).text
    assert f'<option value="{segment}" selected>Town' in (await client.get(f"/campaigns/new?segment={segment}")).text


async def test_analysts_look_and_salespeople_do_not(sign_in: SignIn, house: House) -> None:
    segment = await keep(house, "Town")
    analyst, salesperson = await sign_in("analyst"), await sign_in("salesperson", salesperson="s1")
    assert (await analyst.get(f"/segments/{segment}")).status_code == 200
    for path in ("/segments/new", f"/segments/{segment}/edit", f"/segments/{segment}/delete"):
        assert (await analyst.post(path, data=form())).status_code == 403
    for path in ("/segments", f"/segments/{segment}"):
        assert (await salesperson.get(path)).status_code == 403


async def test_a_campaign_that_ran_keeps_its_segment(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG)
    segment = await keep(house, "Town")
    await launched(house, rule=None, segment_id=segment)
    client = await sign_in("marketer")
    refused = await client.post(f"/segments/{segment}/delete", data={"confirm": "Town"})
    assert refused.headers["location"] == f"/segments/{segment}"
    assert (await client.get(f"/segments/{segment}")).status_code == 200


async def test_the_list_tells_who_moved_of_late_and_sorts_by_the_last_evaluation(sign_in: SignIn, house: House) -> None:
    bee, ant = await keep(house, "Bee"), await keep(house, "Ant")
    today = local_date(utc_now(), house.settings.timezone)
    days = [(bee, 0, 5, 2, False), (bee, 6, 1, 0, False), (bee, 7, 90, 0, False), (bee, 1, 70, 0, True)]
    async with house.database.begin() as conn:
        for segment, ago, entered, left, by_rule in days:
            row = {"segment_id": segment, "day": today - timedelta(days=ago), "at": utc_now(), "size": 9}
            await conn.execute(insert(segment_sizes).values(**row, entered=entered, left=left, by_rule=by_rule))
        for segment, ago in ((bee, 2), (ant, 1)):
            counted = {"count": 1, "counted_at": utc_now() - timedelta(hours=ago)}
            await conn.execute(update(segments).where(segments.c.id == segment).values(counted))
    client = await sign_in("analyst")
    listed = await client.get("/segments?sort=-evaluated")
    assert links(listed, ROW) == ["Ant", "Bee"]
    assert "1 +6 −2 2 hours ago" in text_of(listed)
    assert " 1 – " in text_of(listed)


async def test_a_rule_calls_codes_and_stored_words_as_people_do(sign_in: SignIn, house: House) -> None:
    await put(house, "communities", {"code": "QJ", "name": "曲江明月府"})
    await put(house, "customers", WANG)
    repaired = {"has": "service_visits", "where": {"field": "kind", "op": "eq", "value": "repair"}}
    await keep(house, "Court", {"all": [{"field": "community", "op": "in", "value": ["QJ", "ZZ"]}, repaired]})
    english = text_of(await (await sign_in("analyst")).get("/segments"))
    assert "曲江明月府 or ZZ" in english
    assert "epair" in english
    assert "维修" in text_of(await (await sign_in("analyst", language="zh")).get("/segments"))

"""A segment over time: its page and the calls of the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from runtime.clock import local_date, utc_now
from runtime.house import House
from segments import store
from segments.context import context_at
from segments.models import segment_states
from segments.standing import evaluate
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import LI, WANG, put, text_of

XIAN: Any = {"field": "city", "op": "eq", "value": "西安"}
OLD: Any = {
    "has": "appliances",
    "where": {"field": "installed_on", "op": "older_than", "value": "P8Y"},
}


async def keep(house: House, rule: Any = XIAN) -> int:
    async with house.database.begin() as conn:
        return (await store.create_segment(conn, "Town", rule)).id


async def evaluated(house: House, segment_id: int, now: datetime | None = None) -> None:
    async with house.database.begin() as conn:
        await evaluate(conn, segment_id, context_at(now or utc_now(), house.settings))


async def test_the_feed_is_followed_by_its_cursor(api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG, LI)
    segment = await keep(house)
    await evaluated(house, segment)
    client = await api("analyst")
    start = (await client.get(f"/segments/{segment}/changes?cursor=now")).json()
    assert start["items"] == []
    assert start["next"] is None
    await put(house, "customers", {**WANG, "city": "咸阳"}, {**LI, "city": "西安"})
    await evaluated(house, segment)
    page = (await client.get(f"/segments/{segment}/changes?limit=1&cursor={start['cursor']}")).json()
    rest = (await client.get(f"/segments/{segment}/changes?limit=1&cursor={page['next']}")).json()
    told = {item["external_id"]: item["entered"] for item in (*page["items"], *rest["items"])}
    assert told == {WANG["external_id"]: False, LI["external_id"]: True}
    assert rest["next"] is None
    again = (await client.get(f"/segments/{segment}/changes?cursor={rest['cursor']}")).json()
    assert again == {"items": [], "next": None, "cursor": rest["cursor"]}


async def test_a_cursor_older_than_the_feed_is_refused(api: OpenApi, house: House) -> None:
    segment = await keep(house)
    await evaluated(house, segment)
    client = await api("analyst")
    old = (await client.get(f"/segments/{segment}/changes?cursor=now")).json()["cursor"]
    async with house.database.begin() as conn:
        await conn.execute(update(segment_states).values(feed_from=3, evaluation=5))
    answer = await client.get(f"/segments/{segment}/changes?cursor={old}")
    assert answer.status_code == 422
    assert "no longer kept" in answer.json()["errors"][0]["message"]
    for wrong in ("x", "1", "1.99999999999999999999", "-1.2"):
        assert (await client.get(f"/segments/{segment}/changes?cursor={wrong}")).status_code == 422
    assert (await client.get(f"/segments/{segment}/changes")).status_code == 200


async def test_sizes_and_what_falls_due(api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG, LI)
    today = local_date(utc_now(), house.settings.timezone)
    due = today.replace(year=today.year - 8, day=1) + timedelta(days=40)
    owned = {"number": "f", "customer": {"external_id": WANG["external_id"]}, "category": "fridge"}
    await put(house, "appliances", {**owned, "installed_on": due.isoformat()})
    segment = await keep(house, OLD)
    client = await api("analyst")
    empty = (await client.get(f"/segments/{segment}/history")).json()
    assert empty == {"evaluated_at": None, "items": []}
    await evaluated(house, segment)
    told = (await client.get(f"/segments/{segment}/history")).json()
    assert told["evaluated_at"] is not None
    assert [(day["day"], day["size"], day["entered"]) for day in told["items"]] == [(today.isoformat(), 0, 0)]
    ahead = (await client.get(f"/segments/{segment}/forecast?days=60")).json()
    assert (ahead["moves"], ahead["entered"], ahead["left"], len(ahead["days"])) == (True, 1, 0, 61)
    entering = [day["day"] for day in ahead["days"] if day["entered"]]
    assert entering == [due.replace(year=due.year + 8).isoformat()]
    for days in ("0", "93", "x"):
        assert (await client.get(f"/segments/{segment}/forecast?days={days}")).status_code == 422
    assert (await client.get("/segments/99/history")).status_code == 404


async def test_a_salesperson_follows_their_own(api: OpenApi, house: House) -> None:
    await put(house, "customers", WANG, LI)
    segment = await keep(house)
    await evaluated(house, segment)
    await put(house, "customers", {**WANG, "city": "咸阳"}, {**LI, "city": "西安"})
    await evaluated(house, segment)
    client = await api("salesperson", salesperson=WANG["salesperson"])
    told = (await client.get(f"/segments/{segment}/changes")).json()
    assert [item["external_id"] for item in told["items"]] == [WANG["external_id"]]
    assert (await client.get(f"/segments/{segment}/history")).status_code == 403


async def test_the_page_tells_who_came_and_went(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    segment = await keep(house)
    client = await sign_in("analyst")
    before = text_of(await client.get(f"/segments/{segment}"))
    for words in ("Members 1", "counted just now", "Not evaluated yet", "Nobody entered or left yet"):
        assert words in before, words
    waiting = await client.get(f"/segments/{segment}/evaluated")
    assert "HX-Refresh" not in waiting.headers
    await evaluated(house, segment, utc_now() - timedelta(days=1))
    assert (await client.get(f"/segments/{segment}/evaluated")).headers["HX-Refresh"] == "true"
    await put(house, "customers", {**WANG, "city": "咸阳"}, {**LI, "city": "西安"})
    await evaluated(house, segment)
    after = text_of(await client.get(f"/segments/{segment}"))
    for words in ("evaluated", "王小明", "left", "李雷", "entered"):
        assert words in after, words
    shown = (await client.get(f"/segments/{segment}")).text
    assert "data-chart" in shown
    only = text_of(
        await client.get(f"/segments/{segment}?way=left", headers={"HX-Request": "true", "HX-Target": "changes"})
    )
    assert "王小明" in only
    assert "李雷" not in only
    assert "Time changes nothing here" in text_of(await client.get(f"/segments/{segment}/forecast"))
    chinese = text_of(await (await sign_in("analyst", language="zh")).get(f"/segments/{segment}"))
    assert "进入与离开" in chinese


async def test_it_can_be_evaluated_at_once(sign_in: SignIn, house: House) -> None:
    segment = await keep(house)
    client = await sign_in("marketer")
    assert (await client.post(f"/segments/{segment}/refresh")).status_code == 303


async def test_the_timeline_of_a_customer_tells_it(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", WANG, LI)
    segment = await keep(house)
    await evaluated(house, segment)
    await put(house, "customers", {**WANG, "city": "咸阳"})
    await evaluated(house, segment)
    client = await sign_in("analyst")
    told = text_of(await client.get("/customers/1"))
    assert "Left the segment Town" in told

"""Follow-ups in the console and over the API: whose, in words, one tap and back."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from customers.models import appliances, salespeople
from runtime.clock import utc_now
from runtime.house import House
from sales.models import follow_ups
from sales.opening import open_all
from segments.context import context_at
from tests.tracking.people_with_mail import make_messages, make_people
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import text_of
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey
from tracking.models import campaign_names


@pytest.fixture
async def tasks(house: House) -> list[int]:
    """One follow-up of s1 (Wang, an old fridge) and one of s2; their ids."""
    now = utc_now()
    async with house.database.begin() as conn:
        await conn.execute(insert(salespeople), [{"code": "s1", "name": "Sun"}, {"code": "s2", "name": "Tang"}])
        await conn.execute(insert(campaign_names), {"campaign_id": 10, "name": "Autumn", "name_folded": "autumn"})
        own = await make_people(conn, 1, salesperson="s1", name="Wang", name_folded="wang", phone="+8613800138000")
        people = own + await make_people(conn, 1, salesperson="s2", name="Li")
        fridge = {"number": "A", "category": "refrigerator", "installed_on": date(2012, 1, 1), "repairs_count": 2}
        await conn.execute(insert(appliances), [{"customer_id": person, **fridge} for person in people])
        await make_messages(conn, people, sent_at=now - timedelta(hours=1))
        facts = [
            Fact(MessageKey(person, 1), FactKind.CLICKED, now, link="https://x.cn/<b>/{{ (appliance.brand)|_url }}?b=1")
            for person in people
        ]
        await store(conn, facts, now)
        await open_all(conn, context_at(utc_now(), house.settings))
        return list(await conn.scalars(select(follow_ups.c.id).order_by(follow_ups.c.salesperson)))


async def test_a_salesperson_sees_their_own_tasks_with_the_reasons(sign_in: SignIn, tasks: list[int]) -> None:
    page = await (await sign_in("salesperson", salesperson="s1")).get("/today")
    said = text_of(page)
    assert "Wang" in said
    assert "Li" not in said
    for part in (
        "clicked x.cn/<b>/… in “Autumn” 1 time",
        "years old, 2 repairs",
        "Interest in a replacement",
        "1 to do",
    ):
        assert part in said, part
    assert 'href="tel:+8613800138000"' in page.text


async def test_one_tap_closes_it_and_another_opens_it_again(sign_in: SignIn, tasks: list[int]) -> None:
    client = await sign_in("salesperson", salesperson="s1")
    tap = {"outcome": "called", "note": "wants a quote"}
    shown = await client.post(f"/follow-ups/{tasks[0]}/outcome", data=tap, headers={"HX-Target": "today"})
    assert "Called: Wang" in text_of(shown)
    assert "All done" in text_of(shown)
    assert "wants a quote" in text_of(await client.get("/follow-ups?state=done"))
    again = await client.post(f"/follow-ups/{tasks[0]}/undo")
    assert (again.status_code, again.headers["location"].split("?")[0]) == (303, "/today")
    assert "1 to do" in text_of(await client.get("/today"))


async def test_another_ones_household_cannot_be_closed(sign_in: SignIn, tasks: list[int]) -> None:
    client = await sign_in("salesperson", salesperson="s1")
    answer = await client.post(f"/follow-ups/{tasks[1]}/outcome", data={"outcome": "called"})
    assert answer.status_code == 404
    assert (await (await sign_in("analyst")).post(f"/follow-ups/{tasks[1]}/outcome")).status_code == 403


async def test_nothing_new_is_204_and_something_new_is_the_day(sign_in: SignIn, tasks: list[int], house: House) -> None:
    client = await sign_in("salesperson", salesperson="s1")
    version = (await client.get("/today")).text.split("version=")[1].split('"')[0]
    asked = {"HX-Target": "today"}
    assert (await client.get(f"/today?version={version}", headers=asked)).status_code == 204
    await client.post(f"/follow-ups/{tasks[0]}/outcome", data={"outcome": "called"})
    assert (await client.get(f"/today?version={version}", headers=asked)).status_code == 200


async def test_managers_filter_everybodys(sign_in: SignIn, tasks: list[int]) -> None:
    client = await sign_in("marketer")
    assert (await client.get("/today")).headers["location"] == "/follow-ups"
    assert "Li" in text_of(await client.get("/today?salesperson=s2"))
    for query, expected in (
        ("", {"Wang", "Li"}),
        ("?salesperson=s2", {"Li"}),
        ("?state=done", set()),
        ("?rule=bad_rating", set()),
        ("?q=wan", {"Wang"}),
    ):
        said = (await client.get(f"/follow-ups{query}")).text.partition("<tbody>")[2].partition("</tbody>")[0]
        assert {name for name in ("Wang", "Li") if f">{name}<" in said} == expected, query
    assert (await client.get("/follow-ups?state=odd")).status_code == 422


async def test_the_api_lists_and_closes(api: OpenApi, tasks: list[int]) -> None:
    client = await api("salesperson", "s1")
    [item] = (await client.get("follow-ups")).json()["items"]
    assert (item["id"], item["rule"], item["state"], Decimal(item["value"])) == (tasks[0], "replacement", "open", 1500)
    assert [each["kind"] for each in item["evidence"]] == ["event", "appliance"]
    wrong = await client.post(f"follow-ups/{tasks[0]}/outcome", json={"outcome": "sang"})
    assert wrong.status_code == 422
    done = (await client.post(f"follow-ups/{tasks[0]}/outcome", json={"outcome": "ordered", "note": "fridge"})).json()
    assert (done["state"], done["outcome"], done["note"]) == ("done", "ordered", "fridge")
    assert (await client.post(f"follow-ups/{tasks[1]}/outcome", json={"outcome": "called"})).status_code == 404
    assert (await client.get("follow-ups?state=open")).json()["items"] == []

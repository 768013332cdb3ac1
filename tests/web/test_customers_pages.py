"""Customers in the console: found, looked at, consented, erased; only one's own for a salesperson."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from customers.chances import estimate_chances
from customers.models import activity, consents, customers
from runtime.clock import utc_now
from runtime.house import House
from tests.tracking.people_with_mail import make_messages
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, links, next_page, order, put, text_of
from tracking.facts import Fact, FactKind
from tracking.ingest import store

ROW = r"/customers/\d+"


async def test_the_empty_list_says_how_to_begin(sign_in: SignIn) -> None:
    marketer, analyst = await sign_in("marketer"), await sign_in("analyst")
    assert 'href="/imports/new"' in (await marketer.get("/customers")).text
    page = await analyst.get("/customers")
    assert "No customers yet" in page.text
    assert 'href="/imports/new"' not in page.text


async def test_the_list_is_searched_sorted_and_paged(sign_in: SignIn, house: House) -> None:
    await put(house, "communities", {"code": "QJ", "name": "曲江明月府"})
    await put(house, "customers", WANG, LI, {"external_id": "C3", "name": "Anna", "city": "西安"})
    await put(house, "orders", order("C2", "N1", "300"), order("C1", "N2", "200"))
    client = await sign_in("analyst")
    assert links(await client.get("/customers"), ROW) == ["Anna", "李雷", "王小明"]
    assert links(await client.get("/customers?sort=-total_spent"), ROW)[:2] == ["李雷", "王小明"]
    first = await client.get("/customers?sort=-name&limit=2")
    assert links(first, ROW) == ["王小明", "李雷"]
    assert links(await client.get(next_page(first)), ROW) == ["Anna"]
    for query, found in (
        ("小明", ["王小明"]),
        ("C2", ["李雷"]),
        ("li@example.com", ["李雷"]),
        ("13800138000", ["王小明"]),
    ):
        assert links(await client.get("/customers", params={"q": query}), ROW) == found
    assert "Nothing found" in (await client.get("/customers?q=nobody")).text
    whole = text_of(await client.get("/customers?q=C1"))
    assert "曲江明月府" in whole
    assert "¥200.00" in whole


async def test_a_bad_cursor_is_said_and_an_unknown_sort_is_none(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    assert (await client.get("/customers?cursor=zzz")).status_code == 422
    assert (await client.get("/customers?sort=password_hash")).status_code == 200


async def test_a_customer_page_tells_everything(sign_in: SignIn, house: House) -> None:
    await put(house, "salespeople", {"code": "s1", "name": "杨嘉豪"})
    [customer_id] = await put(house, "customers", {**WANG, "gender": "male", "attributes": {"floor": 12}})
    item = {"sku": "F", "name": "滤芯", "quantity": 2, "price": "50"}
    await put(house, "orders", order("C1", "N1", items=[item]))
    owner = {"customer": {"external_id": "C1"}}
    old = {"category": "air_conditioner", "brand": "Gree", "installed_on": "2010-01-01", "status": "in_use"}
    await put(house, "appliances", {**owner, "number": "A1", **old})
    await put(house, "service_visits", {**owner, "number": "V1", "kind": "repair", "completed_at": "2026-09-01"})
    page = await (await sign_in("analyst")).get(f"/customers/{customer_id}")
    told = text_of(page)
    for words in (
        "王小明",
        "杨嘉豪",
        "Order N1",
        "滤芯 × 2",
        "Repair",
        "Gree",
        "Consent given",
        "floor 12",
        "¥100.00",
        "male",
    ):
        assert words in told, words
    assert "external_id" not in told
    assert re.search(r"Customer since</dt><dd><time[^>]*\"2026-(09-30|10-01)", page.text), "since the first order"
    assert re.search(r"state-warn\">[^<]*20\d\d", page.text), "an appliance past its service life is marked"


async def test_a_timeline_tells_machines_apart_and_goes_on(sign_in: SignIn, house: House) -> None:
    [customer_id] = await put(house, "customers", WANG)
    now = utc_now()
    async with house.database.begin() as conn:
        [key] = await make_messages(conn, [customer_id])
        kinds = (FactKind.OPENED, None), (FactKind.CLICKED, "scanner")
        facts = [
            Fact(
                key, kind, now - timedelta(hours=1), machine, "agent", "https://x.example/{{ (customer.city)|_url }}", 0
            )
            for kind, machine in kinds
        ]
        await store(conn, facts, now)
    await put(house, "orders", *(order("C1", f"N{number}") for number in range(40)))
    client = await sign_in("analyst")
    first = await client.get(f"/customers/{customer_id}")
    entries = re.findall(r"<li tabindex.*?</li>", first.text, flags=re.S)
    assert ["by a machine" in entry for entry in entries if "Clicked" in entry] == [True]
    assert ["by a machine" in entry for entry in entries if "Opened" in entry] == [False]
    assert "https://x.example/…<" in first.text
    part = await client.get(next_page(first), headers={"HX-Request": "true", "HX-Target": "entries"})
    assert part.text.lstrip().startswith('<div id="entries"')
    assert "Order N" in part.text


async def test_a_consent_by_word_of_mouth_is_noted(sign_in: SignIn, house: House) -> None:
    [customer_id] = await put(house, "customers", WANG)
    client = await sign_in("marketer", email="m@example.com")
    path = f"/customers/{customer_id}"
    assert "Note a withdrawal" in (await client.get(path)).text
    answer = await client.post(f"{path}/consent", data={"channel": "email", "granted": "no"})
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    page = await client.get(path)
    assert "The withdrawal is noted." in page.text
    assert "Note a consent" in page.text
    async with house.database.connect() as conn:
        last = select(consents).order_by(consents.c.at.desc()).limit(1)
        entry = (await conn.execute(last)).mappings().one()
    assert (entry["granted"], entry["source"]) == (False, "console")
    assert "m@example.com" in str(dict(entry))
    assert (await client.post(f"{path}/consent", data={"channel": "pigeon", "granted": "yes"})).status_code == 422


async def test_an_analyst_notes_no_consent(sign_in: SignIn, house: House) -> None:
    (customer_id,) = await put(house, "customers", WANG)
    client = await sign_in("analyst")
    assert "/consent" not in (await client.get(f"/customers/{customer_id}")).text
    answer = await client.post(f"/customers/{customer_id}/consent", data={"channel": "email", "granted": "yes"})
    assert answer.status_code == 403


async def test_erasing_needs_the_name(sign_in: SignIn, house: House) -> None:
    [customer_id] = await put(house, "customers", WANG)
    client = await sign_in("marketer")
    path = f"/customers/{customer_id}"
    assert (await client.post(f"{path}/erase", data={"confirm": "王"})).status_code == 422
    assert (await client.post(f"{path}/erase", data={"confirm": "王小明"})).headers["location"] == "/customers"
    assert (await client.get(path)).status_code == 404
    async with house.database.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(customers)) == 0


async def test_a_salesperson_sees_their_own_households_alone(sign_in: SignIn, house: House) -> None:
    own, other = await put(house, "customers", WANG, LI)
    client = await sign_in("salesperson", salesperson="s1")
    assert links(await client.get("/customers"), ROW) == ["王小明"]
    assert "Nothing found" in (await client.get("/customers?q=李")).text
    page = await client.get(f"/customers/{own}")
    assert page.status_code == 200
    assert "/erase" not in page.text
    assert (
        await client.post(f"/customers/{own}/consent", data={"channel": "email", "granted": "yes"})
    ).status_code == 303
    assert (await client.get(f"/customers/{other}")).status_code == 404
    refused = await client.post(f"/customers/{other}/consent", data={"channel": "email", "granted": "yes"})
    assert refused.status_code == 404
    assert (await client.post(f"/customers/{own}/erase", data={"confirm": "王小明"})).status_code == 403


async def test_a_salesperson_without_a_code_sees_nobody(sign_in: SignIn, house: House) -> None:
    await put(house, "customers", {"external_id": "C9", "name": "Nobody's"})
    client = await sign_in("salesperson")
    assert links(await client.get("/customers"), ROW) == []


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_people_typed_is_shown_escaped(sign_in: SignIn, house: House, language: str) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    [customer_id] = await put(
        house, "customers", {**WANG, "name": attack, "city": attack, "tags": [attack], "attributes": {"floor": attack}}
    )
    client = await sign_in("admin", language=language)
    for path in ("/customers", f"/customers/{customer_id}"):
        page = await client.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


async def test_a_timeline_is_looked_through(sign_in: SignIn, house: House) -> None:
    [customer_id] = await put(house, "customers", WANG)
    await put(house, "orders", order("C1", "N1", "300", ordered_at="2026-09-30T23:00:00+08:00"), order("C1", "N2"))
    client = await sign_in("analyst")
    page = f"/customers/{customer_id}"

    async def numbers(query: str) -> set[str]:
        answer = await client.get(f"{page}?{query}")
        assert answer.status_code == 200
        return set(re.findall(r"<strong>Order (N\d)</strong>", answer.text))

    assert await numbers("") == await numbers("kind=orders") == await numbers("kind=order") == {"N1", "N2"}
    assert await numbers("since=x&until=2026-13-01&channel=pigeon") == {"N1", "N2"}
    assert await numbers("q=300") == await numbers("until=2026-09-30") == {"N1"}
    assert await numbers("since=2026-10-01") == {"N2"}
    assert await numbers("kind=seen") == await numbers("channel=email") == set()
    assert "Nothing found" in (await client.get(f"{page}?q=nowhere")).text
    assert "Sep 30, 2026" in (await client.get(page)).text


async def test_the_risk_of_losing_somebody_is_said_with_its_reason(sign_in: SignIn, house: House) -> None:
    ids = await put(house, "customers", WANG, LI)
    client = await sign_in("analyst")
    assert "Risk of losing them" not in text_of(await client.get(f"/customers/{ids[0]}"))  # never bought
    await put(house, "orders", order("C1", "N1"), order("C1", "N2", ordered_at="2026-09-01"), order("C2", "N3"))
    assert "They bought once" in text_of(await client.get(f"/customers/{ids[1]}"))
    await estimate_chances(house, utc_now())
    assert "1 of 100" in text_of(await client.get(f"/customers/{ids[0]}"))
    async with house.database.begin() as conn:
        judged = {"chance_active": "0.31", "orders_expected": "2.5"}
        await conn.execute(update(activity).where(activity.c.customer_id == ids[0]).values(**judged))
    said = text_of(await client.get(f"/customers/{ids[0]}"))
    assert "They order every 30 days or so" in said
    assert "the chance that they still buy is 31%, with 2.5 orders" in said
    due = datetime(2100, 1, 1, tzinfo=UTC)
    async with house.database.begin() as conn:
        await conn.execute(update(activity).where(activity.c.customer_id == ids[0]).values(last_order_at=due))
    assert "the last order was 0 days ago" in text_of(await client.get(f"/customers/{ids[0]}"))


async def test_who_is_at_risk_stands_in_the_order_of_what_is_at_stake(sign_in: SignIn, house: House) -> None:
    people = [{"external_id": f"C{n}", "name": f"Person {n}", "salesperson": f"s{n % 2}"} for n in range(4)]
    ids = await put(house, "customers", *people)
    for n in range(4):
        amount = str(100 * (n + 1))
        await put(
            house, "orders", order(f"C{n}", f"A{n}", amount), order(f"C{n}", f"B{n}", amount, ordered_at="2026-09-01")
        )
    client = await sign_in("analyst")
    assert "Nothing to say yet" in (await client.get("/at-risk")).text
    async with house.database.begin() as conn:
        for customer_id, chance in zip(ids, ("0.2", "0.3", "0.9", "0.6"), strict=True):
            judged = update(activity).where(activity.c.customer_id == customer_id).values(chance_active=chance)
            await conn.execute(judged)
    page = await client.get("/at-risk")
    assert links(page, ROW) == ["Person 3", "Person 1", "Person 0"]  # 160, 140 and 80 of a month each
    assert "¥1,946.67" in text_of(page)
    assert links(await client.get("/at-risk?salesperson=s0"), ROW) == ["Person 0"]
    assert links(await client.get("/at-risk?sort=chance_active"), ROW) == ["Person 0", "Person 1", "Person 3"]
    own = await sign_in("salesperson", salesperson="s1")
    assert links(await own.get("/at-risk?salesperson=s0"), ROW) == ["Person 3", "Person 1"]


async def test_the_timeline_alone_is_asked_for(sign_in: SignIn, house: House) -> None:
    [customer_id] = await put(house, "customers", WANG)
    await put(house, "orders", order("C1", "N1"))
    client = await sign_in("analyst")
    part = await client.get(
        f"/customers/{customer_id}?kind=orders", headers={"HX-Request": "true", "HX-Target": "entries"}
    )
    assert part.status_code == 200
    assert "N1" in part.text
    assert "<html" not in part.text

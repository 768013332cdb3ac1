"""Salespeople and the dashboard: the ranking of a month, the records behind each number, only one's own for some."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from campaigns.models import overview_figures
from campaigns.workspace import QUICK_MS, count_overview
from runtime.clock import utc_now
from runtime.house import House
from sales.months import close_months
from tests.web.conftest import SignIn
from tests.web.scene import LI, WANG, links, next_page, order, put, text_of

ROW = r"/salespeople/\d+\?period=[\d-]+"


@pytest.fixture
async def team(house: House) -> None:
    """Wang (s1) has two homes, one on record, and an order of this year; Li (s2) has one home without anything."""
    await put(house, "salespeople", {"code": "s1", "name": "杨嘉豪"}, {"code": "s2", "name": "冯小娟"})
    await put(house, "customers", WANG, {"external_id": "C3", "name": "Cleo", "salesperson": "s1"}, LI)
    owner = {"customer": {"external_id": "C1"}}
    await put(
        house,
        "appliances",
        {**owner, "number": "A1", "category": "refrigerator", "installed_on": "2020-01-01", "status": "in_use"},
    )
    bought = {"sku": "F", "name": "Filter", "quantity": 1, "price": "500", "cost": "200"}
    await put(house, "orders", order("C1", "N1", "500", ordered_at=utc_now().isoformat(), items=[bought]))


async def test_an_empty_ranking_says_so(sign_in: SignIn) -> None:
    assert "No salespeople yet" in (await (await sign_in("analyst")).get("/salespeople")).text


async def test_the_ranking_is_of_a_month_searched_and_sorted(sign_in: SignIn, team: None) -> None:
    client = await sign_in("analyst")
    page = await client.get("/salespeople")
    assert links(page, ROW) == ["杨嘉豪", "冯小娟"]
    assert "¥300" in text_of(page)
    assert links(await client.get("/salespeople?sort=-name"), ROW) == ["杨嘉豪", "冯小娟"]
    assert links(await client.get("/salespeople?sort=customers"), ROW) == ["冯小娟", "杨嘉豪"]
    assert links(await client.get("/salespeople?q=冯"), ROW) == ["冯小娟"]
    assert links(await client.get("/salespeople?q=s1"), ROW) == ["杨嘉豪"]
    earlier = await client.get("/salespeople?period=2020-09")
    assert "¥300" not in text_of(earlier)
    assert links(earlier, r"/salespeople/\d+\?period=2020-09") == ["杨嘉豪", "冯小娟"]
    assert (await client.get("/salespeople?period=soon")).status_code == 422


async def test_a_score_opens_the_records_behind_each_part(sign_in: SignIn, team: None) -> None:
    client = await sign_in("analyst")
    page = await client.get("/salespeople/1")
    told = text_of(page)
    for words in ("杨嘉豪", "Coverage", "1 of 2 records", "Margin", "¥300"):
        assert words in told, words
    coverage = await client.get("/salespeople/1/coverage")
    assert sorted(links(coverage, r"/customers/\d+")) == ["Cleo", "王小明"]
    first = await client.get("/salespeople/1/coverage?limit=1")
    assert len(links(await client.get(next_page(first)), r"/customers/\d+")) == 1
    margin = text_of(await client.get("/salespeople/1/margin"))
    assert "N1" in margin
    for path in ("/salespeople/1/charm", "/salespeople/99", "/salespeople/99/margin"):
        assert (await client.get(path)).status_code == 404


async def test_a_salesperson_sees_their_own_score_alone(sign_in: SignIn, team: None) -> None:
    client = await sign_in("salesperson", salesperson="s1")
    assert links(await client.get("/salespeople"), ROW) == ["杨嘉豪"]
    assert (await client.get("/salespeople/1")).status_code == 200
    assert (await client.get("/salespeople/1/coverage")).status_code == 200
    assert (await client.get("/salespeople/2")).status_code == 404
    assert (await client.get("/salespeople/2/coverage")).status_code == 404


async def test_the_dashboard_of_an_empty_house_says_how_to_begin(sign_in: SignIn) -> None:
    assert 'href="/imports/new"' in (await (await sign_in("admin")).get("/dashboard")).text
    assert "Welcome to Hearth" in (await (await sign_in("analyst")).get("/dashboard")).text


async def test_the_dashboard_tells_the_whole_house(sign_in: SignIn, team: None) -> None:
    client = await sign_in("analyst")
    told = text_of(await client.get("/dashboard"))
    for words in ("Customers 3", "Reachable by e-mail 2 66.7%", "Appliances in use 1", "杨嘉豪", "Refrigerator"):
        assert words in told, words
    assert (await client.get("/")).headers["location"] == "/dashboard"
    chinese = text_of(await (await sign_in("analyst", language="zh")).get("/dashboard"))
    assert "冰箱" in chinese


async def test_the_dashboard_of_a_large_house_is_as_it_was_counted(sign_in: SignIn, team: None, house: House) -> None:
    client = await sign_in("analyst")
    assert "Counted" not in text_of(await client.get("/dashboard"))
    async with house.database.begin() as conn:
        await conn.execute(update(overview_figures).values(took_ms=QUICK_MS))
    await put(house, "customers", {"external_id": "C4", "name": "Dora"})
    before = text_of(await client.get("/dashboard"))
    assert "Counted" in before
    assert "Customers 3" in before
    assert "Salespeople this month" not in before
    await count_overview(house)
    await close_months(house)
    async with house.database.begin() as conn:
        await conn.execute(update(overview_figures).values(took_ms=QUICK_MS))
    after = text_of(await client.get("/dashboard"))
    assert "Customers 4" in after
    assert "Salespeople this month" in after


async def test_a_salespersons_dashboard_tells_of_their_own_customers(sign_in: SignIn, team: None) -> None:
    client = await sign_in("salesperson", salesperson="s2")
    page = await client.get("/dashboard")
    told = text_of(page)
    assert "Customers 1" in told
    assert "Appliances in use 0" in told
    assert "冯小娟" in told
    assert "杨嘉豪" not in page.text
    assert "Latest campaigns" not in told

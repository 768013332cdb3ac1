"""The demo's records, segments and mails pass Hearth's own checks, and find somebody."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.content import MessageLinks, compile_content
from customers.ranks import refresh_ranks
from customers.upsert import upsert
from demo import books
from demo.dealer import Dealer
from demo.loop import order_of
from demo.recipients import HABITS, Letter, draw_habits, read_letter
from demo.story import OLD_AIR_CONDITIONERS, SEGMENTS, TRADE_IN, Plan, plans
from runtime.settings import Settings
from segments import engine
from segments.context import context_at

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
PLANS = {plan.name: plan for plan in plans(NOW)}


async def test_a_second_load_changes_nothing(conn: AsyncConnection, settings: Settings, loaded: Dealer) -> None:
    for kind in (*books.POSTED, *books.UPLOADED):
        result = await upsert(conn, kind, getattr(loaded, kind), settings=settings, now=NOW)
        assert (result.created, result.updated) == (0, 0), kind
    counts = await books.sizes(conn)
    assert counts["appliances"] == 700
    assert counts["customers"] == len(loaded.customers)


async def test_every_segment_counts_somebody(conn: AsyncConnection, settings: Settings, loaded: Dealer) -> None:
    await refresh_ranks(conn)
    context = context_at(NOW, settings)
    for name, rule in SEGMENTS.items():
        assert 0 < await engine.count(conn, rule, context) < len(loaded.customers), name


async def test_old_air_conditioners_are_those_of_the_books(
    conn: AsyncConnection, settings: Settings, loaded: Dealer
) -> None:
    expected = {
        one["customer"]["external_id"]
        for one in loaded.appliances
        if one["category"] == "air_conditioner"
        and one["status"] == "in_use"
        and one["installed_on"]
        and one["installed_on"] <= "2018-11-22"
    }
    assert await engine.count(conn, SEGMENTS[OLD_AIR_CONDITIONERS], context_at(NOW, settings)) == len(expected) > 20


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
def test_mails_compile_without_warnings(plan: Plan) -> None:
    content = compile_content(subject=plan.subject, language="zh-CN", **plan.content)
    assert content.warnings == ()
    assert content.links
    assert "customer.name" in content.fields or "appliance.model" in content.fields


def letter(number: int = 1) -> Letter:
    return Letter(f"person{number}@qq.example", "", "/o/x", ("/c/a", "/c/b"), "/u/x")


def test_every_habit_is_met_even_among_few() -> None:
    acts = draw_habits(Random(1), [letter(number) for number in range(len(HABITS))])
    assert {habit for _, habit in acts} == set(HABITS)
    assert draw_habits(Random(1), []) == []


def test_an_order_has_the_same_number_each_time() -> None:
    orders = [order_of(Random(seed), letter(), 7, "air_conditioner", NOW) for seed in (1, 2)]
    assert orders[0]["number"] == orders[1]["number"]
    assert orders[0]["items"][0]["category"] == "air_conditioner"


def test_a_letter_gives_its_links() -> None:
    content = compile_content(subject="您好", mjml=PLANS[TRADE_IN].content["mjml"], language="zh-CN")
    links = MessageLinks(
        clicks=lambda count: [f"http://127.0.0.1:8000/c/click{index}" for index in range(count)],
        pixel="http://127.0.0.1:8000/o/pixel",
        unsubscribe="http://127.0.0.1:8000/u/leave",
        preferences="http://127.0.0.1:8000/u/leave#preferences",
        view="http://127.0.0.1:8000/v/view",
    )
    people = {
        "customer": {"name": "王芳", "city": "西安", "district": "雁塔区", "community": "QJMY"},
        "appliance": {
            "brand": "Gree",
            "model": "GR-AC35GW",
            "installed_on": "2016-05-01",
            "category": "air_conditioner",
        },
        "salesperson": {"name": "李伟", "phone": "+8618800008001"},
        "dealer": {"name": "西安长安家电有限公司"},
        "today": "2026-11-22",
    }
    rendered = content.render(people, links)
    assert rendered.missing == frozenset()
    assert rendered.html is not None
    assert "格力" in rendered.html
    assert "至今约 <strong>10 年" in rendered.html
    raw = (
        "To: wang@qq.example\r\nSubject: x\r\nList-Unsubscribe: <http://127.0.0.1:8000/u/leave>\r\n"
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + rendered.html
    )
    found = read_letter(raw.encode())
    assert found.pixel == "/o/pixel"
    assert found.clicks == tuple(f"/c/click{link.index}" for link in content.links)
    assert found.unsubscribe == "/u/leave"

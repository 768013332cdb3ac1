"""A played click is a follow-up on the salesperson's phone within two seconds; one tap there moves the score."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta

import pytest
from playwright.async_api import expect
from sqlalchemy import insert

from customers.models import appliances, salespeople
from runtime.clock import utc_now
from runtime.house import House
from runtime.scheduler import run_scheduler
from sales.models import follow_up_states
from sales.period import period_of
from sales.rules import READY_MADE, rule_of
from sales.scores import ranking
from tests.browser.conftest import OpenPage, Site
from tests.browser.test_loop import BROWSER
from tests.campaigns.scene import working
from tests.tracking.people_with_mail import make_messages, make_people
from tests.waiting import until
from tracking.ledger import MessageKey
from tracking.models import campaign_names, link_tables
from tracking.tokens import MessageUrls

WITHIN = 2.0  # seconds, of the issue
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
async def key(house: House) -> MessageKey:
    """Wang of s1, whose air conditioner is old, was written to an hour ago."""
    now = utc_now()
    async with house.database.begin() as conn:
        await conn.execute(insert(salespeople), {"code": "s1", "name": "Sun"})
        await conn.execute(insert(campaign_names), {"campaign_id": 10, "name": "Autumn", "name_folded": "autumn"})
        [person] = await make_people(conn, 1, salesperson="s1", name="Wang", phone="+8613800138000", created_at=now)
        old = {"number": "A", "category": "air_conditioner", "installed_on": date(2015, 3, 1), "repairs_count": 2}
        await conn.execute(insert(appliances), {"customer_id": person, **old, "created_at": now})
        [made] = await make_messages(conn, [person], sent_at=now - timedelta(hours=1))
        links = ["https://shop.example.com/air_conditioner"]
        await conn.execute(insert(link_tables), {"run_id": 1, "links": links})
    return made


@asynccontextmanager
async def scheduling(house: House) -> AsyncIterator[None]:
    own = dataclasses.replace(house, stopping=asyncio.Event())
    scheduler = asyncio.create_task(run_scheduler(own))
    try:
        yield
    finally:
        own.stopping.set()
        await scheduler


async def test_a_click_is_a_task_within_seconds_and_one_tap_moves_the_score(
    site: Site, house: House, key: MessageKey, open_page: OpenPage
) -> None:
    page = await open_page("salesperson", **PHONE)
    async with working(house), scheduling(house):
        await until(lambda: _looked(house))
        await page.goto("/today")
        await expect(page.get_by_text("All done")).to_be_visible()
        click = MessageUrls(house.signer, site.url, key).clicks(1, 0)[0]
        started = time.monotonic()
        answer = await page.request.get(click, headers=BROWSER, max_redirects=0)
        assert answer.status == 302
        await expect(page.get_by_role("heading", name="Wang")).to_be_visible()
        assert time.monotonic() - started < WITHIN
        await expect(page.get_by_text("11 years old, 2 repairs")).to_be_visible()
        before = await response_of(house)
        await page.get_by_role("button", name="Called").tap()
        await expect(page.get_by_text("Called: Wang")).to_be_visible()
        await expect(page.get_by_text("All done")).to_be_visible()
        assert before == 0
        assert await response_of(house) == 1
        await page.get_by_role("button", name="Undo").tap()
        await expect(page.get_by_role("heading", name="Wang")).to_be_visible()
        assert await response_of(house) == 0


async def response_of(house: House) -> int:
    """How many follow-ups count for the salesperson's score of this month."""
    async with house.database.connect() as conn:
        [score] = await ranking(conn, period_of(utc_now(), house.settings.zone))
    return next(part.counted for part in score.parts if part.name == "response")


async def _looked(house: House) -> bool:
    async with house.database.connect() as conn:
        return (await conn.execute(follow_up_states.select())).first() is not None


async def test_who_a_rule_is_about_is_built_and_saved(house: House, open_page: OpenPage) -> None:
    page = await open_page("marketer", viewport={"width": 390, "height": 844})
    await page.goto("/follow-up-rules/replacement")
    await expect(page.locator("#builder .rule-condition").first).to_be_visible()
    await expect(page.locator("[data-part=count]")).to_have_text("0")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_label("Worth about").fill("900")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The rule is saved.")).to_be_visible()
    async with house.database.connect() as conn:
        saved = await rule_of(conn, "replacement")
    ready = next(each for each in READY_MADE if each.code == "replacement")
    assert (saved.rule, saved.value) == (ready.rule, 900)

"""The page of a survey in a real browser: it answers by itself for people, and not for programs that drive it."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

from playwright.async_api import Page
from sqlalchemy import select

from campaigns.revisit import survey_address
from customers.models import ratings
from customers.surveys import CSAT
from runtime.clock import utc_now
from tests.browser.conftest import OpenPage, Site
from tests.tracking.people_with_mail import make_messages, make_people
from tracking.ledger import MessageKey

AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile Safari/537.36"
)
NO_DRIVER = "Object.defineProperty(navigator, 'webdriver', { get: () => false })"
PHONE = {"width": 390, "height": 844}


async def asked(site: Site) -> list[MessageKey]:
    async with site.house.database.begin() as conn:
        return await make_messages(conn, await make_people(conn, 3), sent_at=utc_now() - timedelta(hours=1))


async def opened(site: Site, page: Page, key: MessageKey, score: int) -> None:
    await page.goto(survey_address(site.house, key, CSAT, score, utc_now()))
    await page.wait_for_selector("form[data-answer]")


async def touched(page: Page) -> None:
    """Move over the page until it has answered; it waits for a moment, so that nothing moves under a finger."""
    async with asyncio.timeout(10):
        for place in itertools.count():
            await page.mouse.move(50 + place % 20, 60)
            if await page.locator("textarea[name=comment]").count():
                return


async def answers(site: Site) -> list[tuple[int, int, str, bool]]:
    async with site.house.database.connect() as conn:
        row = ratings.c
        found = await conn.execute(select(row.customer_id, row.score, row.how, row.counts).order_by(row.at))
        return [tuple(one) for one in found]


async def test_it_answers_once_it_saw_somebody(site: Site, open_page: OpenPage) -> None:
    keys = await asked(site)
    page = await open_page(None, user_agent=AGENT, viewport=PHONE, has_touch=True)
    await opened(site, page, keys[0], 4)  # driven by a program, which says so
    driven = await page.evaluate("navigator.webdriver")
    await page.context.add_init_script(NO_DRIVER)
    await opened(site, page, keys[1], 5)
    await page.wait_for_selector("textarea[name=comment]")  # looked at for three seconds
    await opened(site, page, keys[2], 2)
    await touched(page)
    await page.fill("textarea[name=comment]", "Came late")
    await page.click("text=Send the comment")
    await page.wait_for_selector("text=We read every comment.")
    assert driven is True
    assert await answers(site) == [
        (keys[1].customer_id, 5, "seen", True),
        (keys[2].customer_id, 2, "touched", True),
    ]


async def test_its_buttons_work_without_scripts(site: Site, open_page: OpenPage) -> None:
    [key, *_] = await asked(site)
    page = await open_page(None, user_agent=AGENT, viewport=PHONE, java_script_enabled=False)
    await opened(site, page, key, 1)
    await page.click("text=Send this answer")
    await page.click("text=Change my answer")
    await page.click("button[name=score][value='3']")
    await page.wait_for_selector("text=3 of 5")
    assert [(score, how, counts) for _, score, how, counts in await answers(site)] == [
        (1, "button", False),
        (3, "button", True),
    ]

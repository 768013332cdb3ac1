"""The loop in a browser: a segment by clicking, a campaign from it, watched, read in the mailbox, reported."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import update

from channels.email.mailbox import MailboxStore, serving
from runtime.house import House
from tests.browser.conftest import PASSWORD, OpenPage, Site, add_user
from tests.browser.test_builder import pick
from tests.campaigns.scene import launched, work_off, working
from tests.web.scene import LI, WANG, put
from tracking.models import messages

BROWSER = {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"}


@pytest.fixture
async def house(house: House) -> AsyncIterator[House]:
    """Sends to a demo mailbox of its own."""
    mails = MailboxStore(house.database)
    async with serving("127.0.0.1", 0, mails.deliver) as port:
        yield replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{port}"))
    await mails.close()


@pytest.fixture
async def homes(house: House) -> None:
    """Wang has an old air conditioner in Xi'an, Li an old one elsewhere, Cleo a new one in Xi'an."""
    await put(
        house,
        "customers",
        WANG,
        LI,
        {**WANG, "external_id": "C3", "name": "Cleo", "email": "c@example.com", "phone": None},
    )
    kind = {"category": "air_conditioner", "brand": "Gree", "status": "in_use"}
    await put(
        house,
        "appliances",
        {"customer": {"external_id": "C1"}, "number": "A1", "installed_on": "2012-05-01", **kind},
        {"customer": {"external_id": "C2"}, "number": "A2", "installed_on": "2012-05-01", **kind},
        {"customer": {"external_id": "C3"}, "number": "A3", "installed_on": "2026-05-01", **kind},
    )


async def sign_in(page: Page) -> None:
    await page.goto("/")
    await page.get_by_label("E-mail").fill("mei@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


async def build_segment(page: Page) -> None:
    """Everything by the mouse and the keyboard; the count follows."""
    await page.get_by_role("link", name="Segments").click()
    await page.get_by_role("link", name="New segment").first.click()
    count = page.locator("#preview [data-count]")
    await expect(count).to_have_text("3")
    await page.get_by_role("textbox", name="Name").fill("Old air conditioners in Xi'an")
    add, detail = page.get_by_role("button", name="Add condition"), page.get_by_role("button", name="Add detail")
    await add.click()
    await pick(page, "City", "City")
    await pick(page, "西", "西安")
    await expect(count).to_have_text("2")
    await add.click()
    await pick(page, "Owns appliances", "Owns appliances")
    await pick(page, "Category", "Category")
    await pick(page, "Air", "Air conditioner")
    await detail.click()
    await pick(page, "Installation", "Installation")
    await expect(count).to_have_text("1")
    await expect(page.locator("#preview")).to_contain_text("王小明")
    await page.get_by_role("button", name="Save segment").click()
    await expect(page.get_by_text("The segment is saved.")).to_be_visible()


async def write_campaign(page: Page) -> None:
    """From the segment's page; the preview shows somebody by name before anything is saved."""
    await page.get_by_role("link", name="New campaign").click()
    await expect(page.get_by_label("Segment", exact=True)).to_have_value(re.compile(r"\d+"))
    await page.get_by_role("textbox", name="Name").fill("Trade-in")
    frame = page.frame_locator("iframe[name=preview-frame]")
    await expect(frame.locator("body")).to_contain_text("Hello 王小明")
    await page.get_by_label("Subject").fill("A new one, {{ customer.name }}?")
    await expect(frame.locator("body")).to_contain_text("A new one, 王小明?")
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.locator("#foresight")).to_contain_text("1 customer, of whom 1 would get it")


async def test_the_loop(site: Site, house: House, homes: None, open_page: OpenPage) -> None:
    await add_user(site.house, "mei@example.com", "marketer", name="Mei")
    page = await open_page(None)
    await sign_in(page)
    await build_segment(page)
    await write_campaign(page)
    await page.get_by_role("button", name="Launch").first.click()
    async with working(house):
        await page.get_by_role("dialog").get_by_role("button", name="Launch").click()
        await expect(page.locator("#outcome")).to_contain_text("Finished", timeout=30_000)
    report = page.url
    await page.get_by_role("link", name="Mailbox").click()
    await page.get_by_role("link", name="A new one, 王小明?").click()
    mail = page.frame_locator("iframe.mail-frame")
    link = mail.get_by_role("link", name="Book a visit")
    await expect(link).to_be_visible()
    await some_time_passes(house)
    tracked = str(await link.get_attribute("href")).partition("/c/")[2]
    answer = await page.request.get(f"/c/{tracked}", headers=BROWSER, max_redirects=0)
    assert (answer.status, answer.headers["location"]) == (302, "https://www.example.com/check-up")
    await work_off(house)
    await page.goto(report)
    await expect(page.locator(".stat", has_text="Clicked")).to_contain_text("1")
    await expect(page.locator(".stat", has_text="Sent")).to_contain_text("1")
    await page.goto("/customers?q=王")
    await page.get_by_role("link", name="王小明").click()
    await expect(page.locator("#entries")).to_contain_text("Clicked Trade-in")


async def some_time_passes(house: House) -> None:
    """Nobody clicks in the second in which a mail arrives."""
    async with house.database.begin() as conn:
        await conn.execute(update(messages).values(sent_at=messages.c.sent_at - timedelta(minutes=5)))


async def test_loading_images_counts_as_an_open_and_says_so(site: Site, homes: None, open_page: OpenPage) -> None:
    await launched(site.house)
    await work_off(site.house)
    await some_time_passes(site.house)
    page = await open_page("admin")
    await page.goto("/mailbox")
    await page.locator("tbody a").first.click()
    await expect(page.get_by_text("the recipient counts as having opened")).to_be_visible()
    await expect(page.frame_locator("iframe.mail-frame").locator("body")).to_contain_text("Dear")
    async with page.expect_response(re.compile(r"/o/")) as pixel:
        await page.get_by_role("link", name="Load images").click()
    assert (await pixel.value).status == 200
    await expect(page.get_by_role("link", name="Images are shown")).to_be_visible()


async def test_a_link_of_a_mail_opens_in_a_window_of_its_own(site: Site, homes: None, open_page: OpenPage) -> None:
    await launched(site.house)
    await work_off(site.house)
    page = await open_page("admin")
    await page.context.route("https://shop.example/**", lambda route: route.fulfill(body="the shop"))
    await page.goto("/mailbox")
    await page.locator("tbody a").first.click()
    async with page.context.expect_page() as opened:
        await page.frame_locator("iframe.mail-frame").get_by_role("link", name="Look").click()
    shop = await opened.value
    await expect(shop.locator("body")).to_contain_text("the shop")
    assert page.url.startswith(f"{site.url}/mailbox/")

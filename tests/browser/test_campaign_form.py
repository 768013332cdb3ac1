"""The campaign form in a browser: what is wrong where nobody sees it, and what the Enter key does."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage, Site
from tests.campaigns.conftest import sink
from tests.web.test_campaigns_pages import town

__all__ = ["sink"]  # fixtures


async def form(site: Site, open_page: OpenPage) -> Page:
    segment = await town(site.house)
    page = await open_page("marketer")
    await page.goto(f"{site.url}/campaigns/new?segment={segment}")
    await page.locator("#name").fill("Spring")
    return page


async def test_what_is_wrong_in_a_folded_part_is_unfolded(site: Site, open_page: OpenPage) -> None:
    page = await form(site, open_page)
    fold = page.locator("#section-speed")
    await fold.locator("summary").click()
    await page.locator("#rate").fill("0")
    await fold.locator("summary").click()
    await expect(fold).not_to_have_attribute("open", "")
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.locator("#rate")).to_be_focused()
    await page.locator("#rate").fill("")
    await page.locator("#sender").fill("not an address")
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.locator("#sender")).to_be_focused()
    await expect(page.get_by_text("It is not saved yet")).to_be_attached()


async def test_what_is_not_shown_is_neither_checked_nor_sent(site: Site, open_page: OpenPage) -> None:
    page = await form(site, open_page)
    await page.get_by_label("On each person's own day").check()
    await page.locator("#way").select_option("after")
    await page.locator("#many").fill("-1")
    await page.get_by_label("Repeatedly").check()
    await expect(page.locator("#many")).to_be_disabled()
    await expect(page.locator("#clock")).to_be_enabled()
    await expect(page.locator("#cron")).to_be_disabled()
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.get_by_text("The draft is saved.")).to_be_visible()
    await expect(page.locator(".form-summary")).to_contain_text("every Monday at 10:00")


async def test_enter_saves_where_there_are_variants_too(site: Site, open_page: OpenPage) -> None:
    page = await form(site, open_page)
    await page.locator("#section-experiment > summary").click()
    await page.get_by_role("button", name="Add a variant").click()
    assert await page.locator("#variants [name=variant_format]").first.input_value() == "mjml"
    await page.locator("#variants [name=variant_subject]").nth(1).fill("Only today")
    await page.locator("#name").press("Enter")
    await expect(page.get_by_text("The draft is saved.")).to_be_visible()
    await expect(page.locator(".variants")).to_contain_text("Subject: Only today")

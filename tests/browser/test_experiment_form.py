"""The variants of a campaign in a browser: added, looked at, saved; the report with its decision."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import OpenPage, Site
from tests.campaigns.conftest import sink
from tests.web.test_campaigns_pages import town

__all__ = ["sink"]  # fixtures


async def test_variants_are_added_taken_away_and_saved(site: Site, open_page: OpenPage) -> None:
    segment = await town(site.house)
    page = await open_page("marketer")
    await page.goto(f"{site.url}/campaigns/new?segment={segment}")
    await page.get_by_label("Name", exact=True).first.fill("Spring")
    await page.locator("#section-experiment > summary").click()
    add = page.get_by_role("button", name="Add a variant")
    await add.click()  # a test of one is none
    names = page.locator("#variants [name=variant_name]")
    await expect(names).to_have_count(2)
    await add.click()
    await expect(names).to_have_count(3)
    assert [await names.nth(place).input_value() for place in range(3)] == ["A", "B", "C"]
    await page.get_by_role("button", name="Remove this variant").nth(1).click()
    await page.locator("#variants [name=variant_subject]").nth(1).fill("Only today")
    await page.locator("#test_percent").fill("40")
    await expect(page.locator("#test-share")).to_have_text("40 %")
    await page.locator("#variants").get_by_role("button", name="Preview").nth(1).click()
    await expect(page.frame_locator("[name=preview-frame]").locator("body")).to_contain_text("Only today")
    await expect(page.locator("#summary")).to_contain_text("40 % try the variants A, C")
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.get_by_text("The draft is saved.")).to_be_visible()

"""The gallery under the list of segments: numbers come by themselves, one click adds, another opens the builder."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import OpenPage, Site
from tests.web.scene import LI, WANG, put


async def test_from_an_empty_list_to_a_segment_in_one_click(site: Site, open_page: OpenPage) -> None:
    await put(site.house, "customers", WANG, LI)
    old = {"category": "refrigerator", "installed_on": "2010-01-01"}
    await put(site.house, "appliances", {"customer": {"external_id": "C1"}, "number": "1", **old})
    page = await open_page("marketer")
    await page.goto("/segments")
    await page.get_by_role("link", name="See ready-made segments").first.click()
    row = page.locator(".ready-row", has_text="Refrigerator")
    await expect(row.locator(".ready-count")).to_have_text("1")
    never = page.locator(".card", has_text="Never contacted").locator(".ready-count")
    await never.scroll_into_view_if_needed()
    await expect(never).to_have_text("2")
    await row.get_by_role("button", name="Add: Due for replacement: Refrigerator").click()
    await expect(row.get_by_text("Added")).to_be_visible()
    await expect(page.get_by_role("link", name="Due for replacement: Refrigerator", exact=True)).to_be_visible()
    await expect(page.locator(".toast")).to_contain_text("is added")
    await page.get_by_role("link", name="Use: Lapsed").click()
    await expect(page.get_by_label("Name")).to_have_value("Lapsed")

"""Lists keep their state in the address: sorted, then searched, then gone back."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import OpenPage, Site
from tests.web.scene import LI, WANG, put


async def test_a_search_keeps_the_order_and_going_back_undoes_it(site: Site, open_page: OpenPage) -> None:
    others = [{"external_id": f"X{number}", "name": f"Person {number}", "city": "西安"} for number in range(3)]
    await put(site.house, "customers", WANG, LI, *others)
    page = await open_page("analyst")
    await page.goto("/customers")
    names = page.locator("tbody tr td:first-child a")
    await expect(names).to_have_text(["Person 0", "Person 1", "Person 2", "李雷", "王小明"])
    await page.get_by_role("link", name="Customer", exact=True).click()
    await expect(names.first).to_have_text("王小明")
    await page.get_by_role("main").get_by_role("searchbox").fill("person")
    await expect(names).to_have_text(["Person 2", "Person 1", "Person 0"])
    await expect(page).to_have_url(f"{site.url}/customers?q=person&sort=-name")
    await page.reload()
    await expect(names).to_have_text(["Person 2", "Person 1", "Person 0"])
    await page.go_back()
    await expect(names.first).to_have_text("王小明")


async def test_the_search_on_top_finds_customers_from_everywhere(site: Site, open_page: OpenPage) -> None:
    await put(site.house, "customers", WANG, LI)
    page = await open_page("admin")
    await page.goto("/users/new")
    await page.keyboard.press("/")
    await page.get_by_role("searchbox", name="Search customers").fill("小明")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.get_by_role("link", name="王小明")).to_be_visible()


async def test_the_month_of_the_ranking_keeps_the_search(site: Site, open_page: OpenPage) -> None:
    await put(site.house, "salespeople", {"code": "s1", "name": "Yang"}, {"code": "s2", "name": "Feng"})
    page = await open_page("analyst")
    await page.goto("/salespeople?q=yang&sort=-name")
    months = page.get_by_label("Month")
    last = await months.locator("option").nth(1).get_attribute("value")
    await months.select_option(last)
    await expect(page).to_have_url(f"{site.url}/salespeople?q=yang&sort=-name&period={last}")
    await expect(page.locator("tbody tr")).to_have_count(1)

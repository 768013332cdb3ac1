"""The script in the shop's own pages: nothing is kept or told before the visitor agreed."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Route

from tests.browser.conftest import OpenPage, Site
from tests.waiting import until

SHOP = "http://shop.test"
TOKEN = "AbCdEfGh_-12"


async def test_nothing_before_the_visitor_agrees_and_each_page_after(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    told: list[tuple[str, str]] = []

    async def shop(route: Route) -> None:
        body = f'<html><head><script src="{site.url}/static/visits.js"></script></head><body>shop</body></html>'
        await route.fulfill(content_type="text/html", body=body)

    async def told_to(route: Route) -> None:
        told.append((route.request.url, route.request.post_data or ""))
        await route.fulfill(status=204)

    async def script(route: Route) -> None:  # a browser lets no page of the open net reach into this machine
        answer = await route.fetch()
        await route.fulfill(response=answer)

    await page.route(f"{SHOP}/**", shop)
    await page.route("**/static/visits.js", script)
    await page.route("**/p/*", told_to)
    await page.goto(f"{SHOP}/air?hearth={TOKEN}&x=1")
    assert (told, await cookies(page.context)) == ([], {})
    await page.evaluate("hearthVisits.consent(false)")
    assert (told, await cookies(page.context)) == ([], {})
    await page.evaluate("hearthVisits.consent(true); hearthVisits.consent(true)")
    await until(lambda: len(told) == 1)
    assert await cookies(page.context) == {"hearth": TOKEN}
    await page.goto(f"{SHOP}/fridge")
    await page.evaluate("hearthVisits.consent(true)")
    await until(lambda: len(told) == 2)
    assert told == [
        (f"{site.url}/p/{TOKEN}", f"{SHOP}/air?hearth={TOKEN}&x=1"),
        (f"{site.url}/p/{TOKEN}", f"{SHOP}/fridge"),
    ]
    await page.evaluate("hearthVisits.consent(false)")
    assert await cookies(page.context) == {}
    await page.goto(f"{SHOP}/washer?hearth=<script>")
    await page.evaluate("hearthVisits.consent(true)")
    assert (len(told), await cookies(page.context)) == (2, {})


async def cookies(context: BrowserContext) -> dict[str, str]:
    return {cookie["name"]: cookie["value"] for cookie in await context.cookies(SHOP)}

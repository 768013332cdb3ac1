"""The shell of the console in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.conftest import PASSWORD, OpenPage, Site, add_user


async def test_login_and_out(site: Site, open_page: OpenPage) -> None:
    await add_user(site.house, "wang@example.com", "admin", name="王小明")
    page = await open_page(None)
    await page.goto("/users")
    await expect(page).to_have_title("Sign in · Hearth")
    await page.get_by_label("E-mail").fill("wang@example.com")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not right")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Users")).to_be_visible()
    await page.get_by_role("button", name="Your menu").locator("visible=true").click()
    await page.get_by_role("button", name="Sign out").locator("visible=true").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    await page.goto("/users")
    await expect(page).to_have_title("Sign in · Hearth")


async def test_a_failed_login_keeps_where_one_was_going(site: Site, open_page: OpenPage) -> None:
    await add_user(site.house, "wang@example.com", "admin")
    page = await open_page(None)
    await page.goto("/tokens?sort=name")
    for password in ("wrong", PASSWORD):
        await page.get_by_label("E-mail").fill("wang@example.com")
        await page.get_by_label("Password").fill(password)
        await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{site.url}/tokens?sort=name")


async def test_making_a_user_and_a_token(open_page: OpenPage) -> None:
    page = await open_page("admin")
    await page.goto("/users")
    await page.get_by_role("link", name="New user").click()
    await page.get_by_label("E-mail").fill("li@example.com")
    await page.get_by_label("Role").select_option("analyst")
    await page.get_by_role("button", name="Create user").click()
    assert len(await page.get_by_label("One-time password").input_value()) > 12
    await page.goto("/tokens/new")
    await page.get_by_label("Name").fill("the shop")
    await page.get_by_role("button", name="Create token").click()
    assert (await page.get_by_label("Token", exact=True).input_value()).startswith("hearth_")


async def test_a_user_is_deleted_only_once_the_name_is_typed(site: Site, open_page: OpenPage) -> None:
    user_id = await add_user(site.house, "li@example.com", "analyst")
    page = await open_page("admin")
    await page.goto(f"/users/{user_id}")
    await page.get_by_role("button", name="Delete user").click()
    dialog = page.get_by_role("dialog")
    confirm = dialog.get_by_role("button", name="Delete user")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("textbox").fill("li@example.co")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("textbox").fill("li@example.com")
    await confirm.click()
    await expect(page.get_by_text("li@example.com is deleted.")).to_be_visible()


async def test_lists_are_searched_and_sorted_in_place(site: Site, open_page: OpenPage) -> None:
    for name in ("Anna", "Bert", "Carl"):
        await add_user(site.house, f"{name.lower()}@example.com", "analyst", name=name)
    page = await open_page("admin")
    await page.goto("/users")
    await page.get_by_role("link", name="Name").click()
    await expect(page).to_have_url(f"{site.url}/users?sort=-name")
    await expect(page.locator("tbody tr").first).to_contain_text("Carl")
    await page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search users")
    await expect(search).to_be_focused()
    await search.fill("bert")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(search).to_be_focused()
    await page.reload()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(search).to_have_value("bert")


async def test_dark_follows_the_system_until_chosen(open_page: OpenPage) -> None:
    page = await open_page("admin", color_scheme="dark")
    await page.goto("/users")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-bs-theme", "dark")
    await page.emulate_media(color_scheme="light")
    await expect(root).to_have_attribute("data-bs-theme", "light")
    await page.get_by_role("button", name="Your menu").locator("visible=true").click()
    await page.get_by_role("button", name="Dark").locator("visible=true").click()
    await page.reload()
    await expect(root).to_have_attribute("data-bs-theme", "dark")


async def test_switching_to_chinese_and_back(open_page: OpenPage) -> None:
    page = await open_page("admin")
    await page.goto("/profile")
    await page.locator("main").get_by_role("button", name="中文").click()
    await expect(page.get_by_role("heading", name="个人资料")).to_be_visible()
    await page.locator("main").get_by_role("button", name="English").click()
    await expect(page.get_by_role("heading", name="Profile")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
async def test_a_phone_shows_every_page_of_the_shell_without_sideways_scrolling(
    locale: str, site: Site, open_page: OpenPage
) -> None:
    await add_user(site.house, f"{'long' * 12}@example.com", "marketer", name="A Very Long Name Of Somebody")
    page = await open_page("admin", viewport={"width": 390, "height": 844}, locale=locale, has_touch=True)
    for path in ("/users", "/users/new", "/tokens", "/tokens/new", "/profile", "/profile/password", "/nothing"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    await page.goto("/users")
    await page.locator(".navbar-toggler").click()
    await expect(page.locator("#sidebar.collapse.show")).to_be_visible()  # it has opened whole
    await page.locator("#sidebar").get_by_role("link").last.click()
    await expect(page).to_have_url(f"{site.url}/tokens")


async def test_the_keyboard_reaches_the_content_first(open_page: OpenPage) -> None:
    page = await open_page("admin")
    await page.goto("/users")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip-link")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#content")).to_be_focused()


async def test_a_script_that_somebody_typed_never_runs(site: Site, open_page: OpenPage) -> None:
    attack = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }}"
    await add_user(site.house, "x@example.com", "analyst", name=attack)
    page = await open_page("admin", user_agent=attack)
    ran: list[str] = []
    page.on("dialog", lambda dialog: ran.append(dialog.message))
    for path in ("/users", "/profile", f"/users?q={attack}", f"/login?next={attack}"):
        await page.goto(path)
        await expect(page.locator("body")).to_be_visible()
    await page.goto("/users")
    await expect(page.locator("tbody")).to_contain_text(attack)
    assert ran == []

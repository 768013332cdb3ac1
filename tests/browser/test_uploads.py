"""Files dropped onto the console: looked at, read otherwise, matched, and what is left of them downloaded."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.conftest import OpenPage, Site
from tests.browser.test_every_page import TOO_WIDE
from tests.campaigns.scene import work_off
from tests.web.scene import LI, WANG, put

PHONES = "姓名,手机号,备注\n王,138 0013 8000,=1+2\n王,+86-138-0013-8000,\n王,8613800138000,@x\n"
PICKED: FilePayload = {"name": "p.csv", "mimeType": "text/csv", "buffer": PHONES.encode()}


async def drop(page: Page, name: str, data: bytes) -> None:
    """A file dragged onto the page and let go."""
    carried = await page.evaluate_handle(
        "([name, bytes]) => { const carried = new DataTransfer();"
        " carried.items.add(new File([new Uint8Array(bytes)], name, {type: 'text/csv'})); return carried; }",
        [name, list(data)],
    )
    zone = page.locator("[data-dropzone]")
    await zone.dispatch_event("dragenter", {"dataTransfer": carried})
    await expect(zone).to_have_class(re.compile("is-over"))
    await zone.dispatch_event("drop", {"dataTransfer": carried})


async def dropped(page: Page, data: bytes, name: str = "fair.csv", where: str = "/audiences/new") -> None:
    await page.goto(where)
    await drop(page, name, data)
    await page.wait_for_url(re.compile(r"/uploads/\d+"))


async def rows_of(page: Page, link: str, folder: Path) -> list[list[str]]:
    """The lines of a CSV file that a link downloads."""
    async with page.expect_download() as waiting:
        await page.get_by_role("link", name=link).first.click()
    target = folder / "download.csv"
    await (await waiting.value).save_as(target)
    return list(csv.reader(io.StringIO(target.read_text("utf-8-sig"), newline="")))


async def test_a_dropped_list_is_looked_at_read_otherwise_and_matched(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    await put(site.house, "customers", WANG, LI)
    page = await open_page("marketer", accept_downloads=True)
    await dropped(page, PHONES.encode("gb18030"), "秋季家电展.csv")
    table = page.locator(".sheet-table")
    await expect(table.get_by_role("columnheader", name="手机号")).to_be_visible()
    await expect(page.locator("#c1")).to_have_value("phone")
    await expect(page.locator(".sheet-verdicts")).to_contain_text(
        re.compile(r"Of the first 3 lines:\s*1\s*matched\s*2\s*duplicate")
    )
    await page.get_by_label("Encoding").select_option("utf-8")
    await expect(page.locator("#sheet")).to_contain_text("\ufffd")
    await expect(page).to_have_url(re.compile("encoding=utf-8"))
    assert "csrf" not in page.url
    await page.reload()
    await expect(page.locator("#sheet")).to_contain_text("\ufffd")
    await page.get_by_label("Encoding").select_option("gb18030")
    await expect(table.get_by_role("columnheader", name="手机号")).to_be_visible()
    await page.get_by_label("Name of the list").fill("Fair")
    await page.get_by_role("button", name="Match the list").click()
    await expect(page.locator("#live")).to_contain_text("waits for a worker")
    await work_off(site.house)
    await expect(page.locator("#live")).to_contain_text("What became of the 3 lines")
    await expect(page.locator(".part-matched .stat-value")).to_have_text("1")
    await expect(page.locator(".part-duplicates .stat-value")).to_have_text("2")
    await expect(page.get_by_role("link", name="王小明")).to_be_visible()
    assert await rows_of(page, "Download all of them", tmp_path) == [
        ["line", "column", "reason", "姓名", "手机号", "备注"],
        ["3", "", "the same customer as in line 2", "王", "'+86-138-0013-8000", ""],
        ["4", "", "the same customer as in line 2", "王", "8613800138000", "'@x"],
    ]
    await page.get_by_role("link", name="Write a campaign to it").click()
    await expect(page.get_by_label("or an uploaded list")).to_have_value(re.compile(r"\d+"))


async def test_new_people_are_made_customers_with_consent(site: Site, open_page: OpenPage) -> None:
    page = await open_page("marketer")
    await dropped(page, "姓名\t邮箱\n李新\tnew@example.com\n".encode("utf-16"))
    await expect(page.locator(".sheet-verdicts")).to_contain_text("1 unmatched")
    source = page.get_by_label("Where and when they consented")
    await expect(source).to_be_hidden()
    await page.get_by_label("Make customers of people whom nobody knows yet").check()
    await expect(page.locator(".sheet-verdicts")).to_contain_text("1 new customer")
    await expect(page.locator("#c0")).to_have_value("name")
    await page.get_by_role("button", name="Match the list").click()
    await expect(page.locator("#error-consent_source")).to_be_visible()
    await source.fill("Fair 2026, stand 4")
    await page.get_by_role("button", name="Match the list").click()
    await page.wait_for_url(re.compile(r"/audiences/\d+"))
    await work_off(site.house)
    await expect(page.get_by_role("link", name="李新")).to_be_visible()
    await expect(page.get_by_text("Fair 2026, stand 4")).to_be_visible()


async def test_an_import_takes_the_same_way_and_its_columns_can_be_told(site: Site, open_page: OpenPage) -> None:
    page = await open_page("marketer")
    await dropped(page, b"No;Who;Colour\n7;Wang;red\nx,y\n", where="/imports/new")
    await page.locator("#c0").select_option("external_id")
    await expect(page.locator(".sheet-verdicts")).to_contain_text("1 can be read")
    await expect(page.locator(".sheet-why")).to_contain_text("has 1 cells where the header has 3")
    await page.locator("#c1").select_option("name")
    await page.locator("#c2").select_option("attributes.colour")
    await expect(page.locator("#c2")).to_have_class(re.compile("is-chosen"))
    await page.go_back()
    await page.goto("/imports")
    await page.get_by_role("link", name="Go on").click()
    await page.locator("#c0").select_option("external_id")
    await expect(page.locator("#c0")).to_have_class(re.compile("is-chosen"))
    await page.locator("#c1").select_option("name")
    await expect(page.locator("#c1")).to_have_class(re.compile("is-chosen"))
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.wait_for_url(re.compile(r"/imports/\d+"))
    await work_off(site.house)
    await expect(page.locator("#live")).to_contain_text("Accepted")
    await page.goto("/customers?q=wang")
    await expect(page.get_by_role("link", name="Wang")).to_be_visible()


async def test_what_is_wrong_with_a_file_is_said_where_it_was_dropped(open_page: OpenPage) -> None:
    page = await open_page("marketer")
    await page.goto("/audiences/new")
    await drop(page, "empty.csv", b"")
    await expect(page.locator("[data-upload-error]")).to_contain_text("'empty.csv' is empty")
    await page.set_input_files("#file", files=PICKED)
    await page.wait_for_url(re.compile(r"/uploads/\d+"))


async def test_without_scripts_the_forms_do_it_too(site: Site, open_page: OpenPage) -> None:
    await put(site.house, "customers", WANG)
    page = await open_page("marketer", java_script_enabled=False)
    await page.goto("/audiences/new")
    await page.set_input_files("#file", files=PICKED)
    await page.get_by_role("button", name="Upload").click()
    await page.locator("#encoding").select_option("gb18030")
    await page.get_by_role("button", name="Show it so").click()
    assert "encoding=gb18030" in page.url
    await page.locator("#encoding").select_option("")
    await page.get_by_role("button", name="Show it so").click()
    await page.get_by_role("button", name="Match the list").click()
    await work_off(site.house)
    await page.reload()
    assert "What became of the 3 lines" in await page.locator("#live").inner_text()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_nothing_is_wider_than_the_screen(
    site: Site, open_page: OpenPage, locale: str, scheme: Any
) -> None:
    wide = ",".join(f"column {number} {'x' * 40}" for number in range(30))
    data = f"phone,{wide}\n13800138000,{','.join('y' * 60 for _ in range(30))}\n"
    page = await open_page(
        "marketer", viewport={"width": 390, "height": 844}, locale=locale, color_scheme=scheme, has_touch=True
    )
    await dropped(page, data.encode(), "a very long name of a file " * 5 + ".csv")
    assert await page.evaluate(TOO_WIDE) == []
    await page.goto("/audiences")
    assert await page.evaluate(TOO_WIDE) == []

"""The segment builder as a marketer uses it: by clicks and keys, never by JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Dialog, Locator, Page, expect
from sqlalchemy import text

from runtime.clock import utc_now
from segments import engine, store
from segments.context import context_at
from tests.browser.conftest import OpenPage, Site
from tests.waiting import until
from tests.web.scene import put

OpenBuilder = Callable[..., Awaitable[Page]]
WORDS = {
    "en-US": {
        "add": "Add condition",
        "detail": "Add detail",
        "city": "City",
        "owns": "Owns appliances",
        "category": "Category",
        "aircon": "Air conditioner",
        "brand": "Brand",
        "installed": "Installation",
        "ordered": "Last order",
        "save": "Save segment",
        "sentence": (
            "Customers in Xi'an who own a Gree air conditioner installed more than 8 years ago and have not ordered in"
            " 180 days"
        ),
    },
    "zh-CN": {
        "add": "添加条件",
        "detail": "添加细节",
        "city": "城市",
        "owns": "拥有家电",
        "category": "品类",
        "aircon": "空调",
        "brand": "品牌",
        "installed": "安装日期",
        "ordered": "最近下单",
        "save": "保存人群",
        "sentence": "在 Xi'an，拥有安装已超过 8 年的 Gree 空调，且 180 天内没有下单的客户",
    },
}


@pytest.fixture
async def open_builder(site: Site, open_page: OpenPage) -> OpenBuilder:
    """Forty customers with appliances and orders; the builder is opened on a rule, or empty."""
    await put(site.house, "customers", *(_customer(number) for number in range(40)))
    await put(site.house, "appliances", *(_appliance(number) for number in range(40)))
    await put(site.house, "orders", *(_order(number) for number in range(0, 40, 5)))

    async def make(rule: Any = None, **options: Any) -> Page:
        page = await open_page("marketer", **options)
        path = "/segments/new"
        if rule is not None:
            async with site.house.database.begin() as conn:
                path = f"/segments/{(await store.create_segment(conn, 'Kept', rule)).id}/edit"
        await page.goto(path)
        await expect(page.locator("#preview")).to_have_attribute("data-settled", re.compile(r"\d+"))
        return page

    return make


def _customer(number: int) -> dict[str, Any]:
    return {"external_id": f"C{number}", "name": f"Person {number}", "city": "Xi'an" if number % 4 else "Xianyang"}


def _appliance(number: int) -> dict[str, Any]:
    return {
        "number": f"A{number}",
        "customer": {"external_id": f"C{number}"},
        "brand": "Gree" if number % 3 else "Midea",
        "category": "air_conditioner" if number % 2 else "refrigerator",
        "installed_on": f"{utc_now().year - (12 if number % 5 < 3 else 2)}-01-01",
    }


def _order(number: int) -> dict[str, Any]:
    return {
        "number": f"O{number}",
        "customer": {"external_id": f"C{number}"},
        "status": "completed",
        "amount": "100",
        "ordered_at": utc_now().isoformat(),
    }


def condition(page: Page, path: str) -> Locator:
    return page.locator(f'.rule-condition[data-path="{path}"]')


async def pick(page: Page, typed: str, chosen: str) -> None:
    """Type into the list that is open, and take the entry of that name by the keyboard."""
    await page.keyboard.type(typed)
    await expect(page.locator('.pick [aria-selected="true"]')).to_contain_text(chosen)
    await page.keyboard.press("Enter")


async def rule_of(page: Page) -> Any:
    return json.loads(await page.locator("#rule").input_value())


@pytest.mark.parametrize("locale", list(WORDS))
async def test_the_sentence_of_the_issue_is_built_from_nothing(
    site: Site, open_builder: OpenBuilder, locale: str
) -> None:
    said = WORDS[locale]
    page = await open_builder(locale=locale)
    started = utc_now()
    add, detail = page.get_by_role("button", name=said["add"]), page.get_by_role("button", name=said["detail"])
    await add.click()
    await pick(page, said["city"], said["city"])
    await expect(page.get_by_role("option", name="Xi'an")).to_contain_text("30")
    await pick(page, "xi'", "Xi'an")
    await add.click()
    await pick(page, said["owns"], said["owns"])
    await pick(page, said["category"], said["category"])
    await pick(page, said["aircon"], said["aircon"])
    await detail.click()
    await pick(page, said["brand"], said["brand"])
    await pick(page, "gre", "Gree")
    await detail.click()
    await pick(page, said["installed"], said["installed"])
    await expect(condition(page, "all[1].where.all[2]").get_by_role("spinbutton")).to_have_value("8")
    await add.click()
    await pick(page, said["ordered"], said["ordered"])
    await expect(condition(page, "all[2]").get_by_role("spinbutton")).to_have_value("180")
    await expect(page.locator("[data-part=sentence]")).to_have_text(said["sentence"])
    assert (utc_now() - started).total_seconds() < 60

    rule = await rule_of(page)
    context = context_at(utc_now(), site.house.settings)
    async with site.house.database.connect() as conn:
        count = await engine.count(conn, rule, context)
        names = [one.name or "" for one in await engine.sample(conn, rule, context, size=8)]
    assert 0 < count < 40
    await expect(page.locator("[data-count]")).to_have_text(str(count))
    await expect(page.locator(".preview-sample tbody tr td:first-child")).to_have_text(names)
    await expect(page.locator(".rule-funnel").last).to_contain_text(str(count))
    await page.locator("#name").fill("The sentence")
    await page.get_by_role("button", name=said["save"]).click()
    await expect(page.get_by_role("heading", name="The sentence")).to_be_visible()


async def _drag(page: Page, grip: Locator, onto: Locator, landed: Locator) -> None:
    """Pull `grip` over `onto`, wherever that moves to, and let go when it has `landed`."""
    await grip.hover()
    await page.mouse.down()

    async def follow() -> bool:
        x, y = await _middle(onto)
        await page.mouse.move(x, y, steps=5)
        return await landed.is_visible()

    await until(follow)
    await page.mouse.up()


async def _middle(place: Locator) -> tuple[float, float]:
    box = await place.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


TOWN: Any = {"field": "city", "op": "in", "value": ["Xi'an"]}
GREE: Any = {"has": "appliances", "where": {"all": [{"field": "brand", "op": "eq", "value": "Gree"}]}}
NAMED: Any = {"field": "name", "op": "contains", "value": "1"}


async def test_a_condition_is_dragged_into_a_group_and_back_by_undo(open_builder: OpenBuilder) -> None:
    rule = {"all": [TOWN, NAMED, {"any": [GREE]}]}
    page = await open_builder(rule, viewport={"width": 1280, "height": 1200})
    grip, group = condition(page, "all[0]").locator(".rule-grip"), page.locator(".rule-any")
    await _drag(page, grip, condition(page, "all[2].any[0]"), group.locator(".is-landing"))
    moved = await rule_of(page)
    assert moved["all"][0] == NAMED
    assert len(moved["all"][1]["any"]) == 2
    assert TOWN in moved["all"][1]["any"]
    await page.keyboard.press("Control+z")
    assert await rule_of(page) == rule
    await page.keyboard.press("Control+y")
    assert await rule_of(page) == moved
    await expect(page.locator("#preview")).to_have_attribute("data-settled", re.compile(r"\d+"))


async def test_what_can_be_dragged_can_be_done_by_keys(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN, NAMED]})

    async def choose(path: str, name: str) -> None:
        await condition(page, path).get_by_role("button", name=re.compile("^More")).press("Enter")
        await condition(page, path).get_by_role("button", name=name).press("Enter")

    await choose("all[1]", "Move up")
    assert await rule_of(page) == {"all": [NAMED, TOWN]}
    await choose("all[0]", "Put into a group")
    assert await rule_of(page) == {"all": [{"any": [NAMED]}, TOWN]}
    await choose("all[1]", "Duplicate")
    assert await rule_of(page) == {"all": [{"any": [NAMED]}, TOWN, TOWN]}
    await condition(page, "all[2]").get_by_role("button", name="Remove: City").click()
    await page.get_by_role("status").get_by_role("button", name="Undo").click()
    assert await rule_of(page) == {"all": [{"any": [NAMED]}, TOWN, TOWN]}
    for _step in range(3):
        await page.get_by_role("button", name="Undo").first.click()
    assert await rule_of(page) == {"all": [TOWN, NAMED]}


async def test_exactly_the_broken_condition_is_marked(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN, {"none": [{**NAMED, "op": "matches", "value": "a"}]}]})
    broken = condition(page, "all[1].none[0]").get_by_role("textbox")
    await broken.fill("a{9,1}")
    await expect(page.locator(".is-wrong")).to_have_count(1)
    await expect(condition(page, "all[1].none[0]")).to_have_class(re.compile("is-wrong"))
    await expect(broken).to_have_attribute("aria-invalid", "true")
    await expect(condition(page, "all[1].none[0]").locator(".rule-problem")).to_contain_text("invalid")
    await expect(page.locator("[data-count]")).to_have_text("–")
    await page.locator("[data-part=problems] button").click()
    await expect(broken).to_be_focused()
    await broken.fill("a{1,9}")
    await expect(page.locator(".is-wrong")).to_have_count(0)
    await expect(page.locator("[data-count]")).to_have_text("30")


async def test_a_wrong_number_is_told_in_words_that_people_use(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [{"field": "last_order_at", "op": "older_than", "value": "P5D"}]})
    amount = condition(page, "all[0]").get_by_role("spinbutton")
    await expect(page.locator(".preview-sample")).to_be_visible()
    said = "Enter a whole number from 0 to 9,999."
    for wrong in ("-5", "1.5"):
        await amount.fill(wrong)
        await expect(condition(page, "all[0]").locator(".rule-problem")).to_have_text(said)
        await expect(page.locator("[data-part=problems]")).to_have_text(f"Last order{said}")
        await expect(page.locator(".preview-sample")).to_be_hidden()
        await expect(amount).to_have_css("padding-right", "8px")  # a sign in the field would hide the number
    await amount.fill("5")
    await expect(page.locator(".preview-sample")).to_be_visible()
    await expect(page.locator(".is-wrong")).to_have_count(0)


async def test_an_unfinished_condition_is_left_out_and_not_saved(site: Site, open_builder: OpenBuilder) -> None:
    page = await open_builder()
    await page.get_by_role("button", name="Add condition").click()
    await pick(page, "city", "City")
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-part=problems]")).to_contain_text("waits to be finished")
    await expect(page.locator("[data-count]")).to_have_text("40")
    await page.locator("#name").fill("Town")
    await page.get_by_role("button", name="Save segment").click()
    await expect(condition(page, "all[0]")).to_have_class(re.compile("is-wrong"))
    await expect(condition(page, "all[0]").locator(".chips-input")).to_be_focused()
    assert page.url == f"{site.url}/segments/new"


async def test_an_empty_group_keeps_nobody_out(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN]})
    await page.get_by_role("button", name="Group", exact=True).click()
    await expect(page.locator("[data-part=problems]")).to_contain_text("waits")
    await expect(page.locator("[data-count]")).to_have_text("30")
    await page.get_by_role("button", name="Save segment").click()
    await expect(page.locator(".rule-any > .rule-problem")).to_have_text("Add a condition, or remove the group.")


async def test_what_the_server_refuses_is_marked_after_saving(site: Site, open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN, GREE]})
    segment = page.url.split("/")[-2]
    await page.get_by_text("The rule as JSON").click()
    await page.locator("#rule-json").fill(json.dumps({"all": [TOWN, {"in_segment": int(segment)}]}))
    await page.get_by_role("button", name="Apply").click()
    await page.get_by_role("button", name="Save segment").click()
    await expect(page.get_by_role("alert")).to_contain_text("circle")
    await expect(condition(page, "all[1]")).to_have_class(re.compile("is-wrong"))
    await page.get_by_role("button", name="Undo").first.click()
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert await rule_of(page) == {"all": [TOWN, GREE]}


async def test_what_is_not_saved_is_not_lost_without_a_question(site: Site, open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN]})
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.accept()

    page.on("dialog", stay)
    await condition(page, "all[0]").get_by_role("button", name="Remove Xi'an").click()
    await page.goto("/segments")
    assert asked == ["beforeunload"]


async def test_values_are_typed_pasted_and_taken_back(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [{**TOWN, "value": ["Xianyang"]}]})
    place = condition(page, "all[0]").locator(".chips-input")
    await place.fill("Paris，Rome,")
    await expect(condition(page, "all[0]").locator(".chip")).to_have_text(["Xianyang", "Paris", "Rome"])
    await place.press("Backspace")
    await place.press("Control+z")
    await expect(condition(page, "all[0]").locator(".chip")).to_have_text(["Xianyang", "Paris", "Rome"])
    await condition(page, "all[0]").get_by_label("Comparison").select_option("is")
    assert await rule_of(page) == {"all": [{"field": "city", "op": "eq", "value": "Xianyang"}]}


async def test_the_focus_stays_where_values_are_chosen(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [{**TOWN, "value": ["Xianyang"]}, GREE]})
    place = condition(page, "all[0]").locator(".chips-input")
    await place.fill("Paris")
    await place.press("Enter")
    await expect(place).to_be_focused()
    await pick(page, "xi'", "Xi'an")
    await expect(place).to_be_focused()
    await place.press("ArrowDown")
    await place.press("Escape")
    await place.press("Backspace")
    await expect(place).to_be_focused()
    await place.click()
    await page.get_by_role("option", name="Xi'an").click()
    await expect(place).to_be_focused()
    assert (await rule_of(page))["all"][0]["value"] == ["Xianyang", "Paris", "Xi'an"]
    brand = condition(page, "all[1].where.all[0]")
    await brand.get_by_role("button", name="Remove Gree").press("Enter")
    await page.keyboard.type("midea")
    await page.keyboard.press("Enter")
    await expect(brand.get_by_role("button", name="Remove Midea")).to_be_focused()


async def test_a_value_that_the_data_does_not_hold_is_told_with_what_is_near(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [{**TOWN, "value": ["xi'an"]}]})
    place, hints = condition(page, "all[0]").locator(".chips-input"), condition(page, "all[0]").locator(".rule-hint")
    for typed in ("Xiannyang", "西安"):
        await place.fill(typed)
        await place.press("Enter")
    near = hints.filter(has_text="Xiannyang")
    await expect(near).to_contain_text("Your data does not hold “Xiannyang”. Did you mean:")
    await expect(near.get_by_role("button")).to_have_text(["Xianyang"])
    await expect(hints.filter(has_text="西安")).to_contain_text("It holds, for instance:")
    await expect(hints).to_have_count(2)
    await near.get_by_role("button", name="Xianyang").click()
    await expect(place).to_be_focused()
    await expect(hints).to_have_count(1)
    assert (await rule_of(page))["all"][0]["value"] == ["xi'an", "Xianyang", "西安"]


async def test_the_json_goes_round(open_builder: OpenBuilder) -> None:
    rule = {
        "any": [
            {"none": [TOWN, {"bucket": {"from": 1, "to": 5}}]},
            {"has": "orders", "sum": {"field": "amount", "op": "gt", "value": "99.5"}},
            {"field": "birthday", "op": "anniversary_within_next", "value": "P1M2D"},
            {"field": "total_spent", "op": "between", "value": [1, 2]},
            {"field": "created_at", "op": "before", "value": "2026-01-02T03:04:05+08:00"},
            {"field": "reachable.email", "op": "is", "value": False},
            {"field": "rfm.recency", "op": "gte", "value": 4},
            {"field": "tags", "op": "has_none", "value": ["a", "b"]},
        ]
    }
    page = await open_builder(rule)
    assert await rule_of(page) == rule
    await page.get_by_text("The rule as JSON").click()
    box = page.locator("#rule-json")
    assert json.loads(await box.input_value()) == rule
    changed = {"all": [GREE, {**NAMED, "value": "2"}]}
    await box.fill(json.dumps(changed))
    await page.get_by_role("button", name="Apply").click()
    assert await rule_of(page) == changed
    await expect(condition(page, "all[1]").get_by_role("textbox")).to_have_value("2")
    await box.fill('{"all": [')
    await page.get_by_role("button", name="Apply").click()
    await expect(page.locator("#rule-json-said")).to_contain_text("not JSON")
    await box.fill('{"all": [{"has": "yachts"}]}')
    await page.get_by_role("button", name="Apply").click()
    await expect(page.locator("#rule-json-said")).to_contain_text("all[0].has: unknown records")
    assert await rule_of(page) == changed


async def test_json_that_was_typed_is_saved_though_nobody_applied_it(open_builder: OpenBuilder) -> None:
    page = await open_builder({"all": [TOWN]})
    await page.get_by_label("Name", exact=True).fill("Typed")
    await page.get_by_text("The rule as JSON").click()
    box, save = page.locator("#rule-json"), page.get_by_role("button", name="Save segment")
    await box.fill('{"all": [')
    await save.click()
    await expect(page.locator("#rule-json-said")).to_contain_text("not JSON")
    await expect(box).to_be_focused()
    await box.fill(json.dumps({"all": [NAMED]}))
    await save.click()
    await page.wait_for_url(re.compile(r"/segments/\d+$"))
    await page.goto(f"{page.url}/edit")
    assert await rule_of(page) == {"all": [NAMED]}


async def test_a_rule_is_laid_over_a_segment(site: Site, open_builder: OpenBuilder) -> None:
    async with site.house.database.begin() as conn:
        await store.create_segment(conn, "Named", NAMED)
    page = await open_builder({"all": [TOWN]})
    await page.get_by_label("Compare with a segment").select_option(label="Named")
    parts = page.locator(".overlap-count")
    await expect(parts).to_have_text(["19", "11", "2"])
    await page.get_by_role("link", name="Make a segment of it: Both").click()
    await expect(page.locator("[data-count]")).to_have_text("11")


async def test_who_leaves_is_counted_for_no_longer(site: Site, open_builder: OpenBuilder) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    async def asked(number: int) -> bool:
        async with site.house.database.connect() as conn:
            return bool((await conn.execute(waiting)).scalar_one() == number)

    page = await open_builder({"all": [NAMED]})
    async with site.house.database.begin() as lock:
        await lock.execute(text("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"))
        await condition(page, "all[0]").get_by_role("textbox").fill("2")
        await until(lambda: asked(1))
        await condition(page, "all[0]").get_by_role("textbox").fill("3")
        await until(lambda: asked(1))
        await page.goto("about:blank")
        await until(lambda: asked(0))


async def test_the_builder_serves_a_phone_in_the_dark(open_builder: OpenBuilder) -> None:
    page = await open_builder(
        {"all": [TOWN, {"any": [GREE, NAMED]}]}, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    await page.locator(".rule-top > .rule-add .rule-plus").click()
    await pick(page, "brand", "Brand")
    assert (await rule_of(page))["all"][2]["has"]

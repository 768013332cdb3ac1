"""What goes on right now: the stream over a real server, and a page that watches a campaign move."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from playwright.async_api import expect
from sqlalchemy import delete, select

from campaigns.halt import cancel, pause, pause_run
from campaigns.launch import resume
from campaigns.live import watcher
from campaigns.models import runs
from runtime.clock import utc_now
from runtime.house import House
from tests.browser.conftest import OpenPage, Site, _session_cookie
from tests.campaigns.conftest import sink
from tests.campaigns.scene import Sink, add_people, finished, launched, record, working
from tests.waiting import until
from web import live
from web.live import hub_of
from web.models import sessions
from web.pages import campaign_report

__all__ = ["sink"]
PEOPLE = 240
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture
def house(house: House, sink: Sink) -> House:
    """Sends to the sink, which does not know every tenth."""
    sink.at_rcpt = lambda address: f"550 5.1.1 <{address}>: no such user" if "0@" in address else None
    return replace(house, settings=replace(house.settings, smtp_url=f"smtp://127.0.0.1:{sink.port}?connections=4"))


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, only faster."""
    monkeypatch.setattr(watcher, "EVERY", 0.2)
    monkeypatch.setattr(live, "CHECK", 0.5)


async def sending(house: House, **options: object) -> int:
    async with house.database.begin() as conn:
        await add_people(conn, PEOPLE)
    return await launched(house, options=options)


class Listener:
    """An event source of its own: the events that came, and whether the stream has ended."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.ended = False

    @property
    def last(self) -> str:
        return next((data for kind, data in reversed(self.events) if kind == "picture"), "")

    async def listen(self, client: httpx.AsyncClient, path: str, **headers: str) -> None:
        async with client.stream("GET", path, headers=EVENTS | headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            kind, data = "", []
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data.append(value)
                elif name == "id":
                    self.ids.append(value)
                elif not line and kind:
                    self.events.append((kind, "\n".join(data)))
                    kind, data = "", []
        self.ended = True


@asynccontextmanager
async def listening(site: Site, path: str, role: str = "analyst", **headers: str) -> AsyncIterator[Listener]:
    cookie = await _session_cookie(site, role)
    async with httpx.AsyncClient(base_url=site.url, cookies={"hearth": cookie["value"]}, timeout=30) as client:
        listener = Listener()
        task = asyncio.create_task(listener.listen(client, path, **headers))
        try:
            yield listener
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])


def shown(html: str, state: str) -> int:
    """The number at a state's key."""
    found = re.search(rf'id="legend-{state}".*?<strong class="figure">([\d,]+)<', html, re.DOTALL)
    return int(found[1].replace(",", "")) if found else 0


async def test_a_stream_tells_what_the_ledger_says_until_it_is_over(site: Site, house: House) -> None:
    campaign = await sending(house)
    async with listening(site, f"/campaigns/{campaign}/live") as heard, listening(site, "/campaigns/live") as strip:
        await until(lambda: heard.last and strip.last)
        assert "Spring" in strip.last
        async with working(house):
            await finished(house, campaign)
        await until(lambda: "data-over" in heard.last)
        await until(lambda: "Spring" not in strip.last)
        counts = (await record(house, campaign))["counts"]
        assert {state: shown(heard.last, state) for state in ("sent", "failed", "queued")} == {
            state: counts[state] for state in ("sent", "failed", "queued")
        }
        assert counts["failed"] > 10
        assert "550 5.1.1 …: no such user" in heard.last
        assert heard.events[0][0] == "picture"
        assert len(set(heard.ids)) == len(heard.ids) == len(heard.events)
    await until(lambda: not hub_of(site.house).watcher.watched(campaign))
    assert hub_of(site.house).streams == 0


async def test_many_watch_and_one_asks(site: Site, house: House) -> None:
    campaign = await sending(house)
    path = f"/campaigns/{campaign}/live"
    async with listening(site, path) as one, listening(site, path) as two, listening(site, path) as three:
        await until(lambda: one.last and two.last and three.last)
        before = hub_of(site.house).watcher.version
        await until(lambda: hub_of(site.house).watcher.version >= before + 2)
        assert one.last == two.last == three.last
        assert len(one.events) == 1  # nothing changes: nothing is told
        async with listening(site, path, **{"last-event-id": one.ids[-1]}) as again:  # knows it already
            before = hub_of(site.house).watcher.version
            await until(lambda: hub_of(site.house).watcher.version >= before + 2)
            assert again.events == []
            async with house.database.begin() as conn:
                await pause(conn, campaign, now=utc_now(), reason="too many bounces")
            await until(lambda: "too many bounces" in again.last)
        await until(lambda: "too many bounces" in one.last)
        assert 'data-may="resume cancel"' in one.last


async def test_who_comes_while_others_watch_something_else_is_served_too(site: Site, house: House) -> None:
    campaign = await sending(house)
    async with listening(site, "/campaigns/live") as strip:
        await until(lambda: strip.last)
        for _ in range(3):
            async with listening(site, f"/campaigns/{campaign}/live") as heard:
                await until(lambda: heard.events)
                assert heard.events[0][0] == "picture"


async def test_a_stream_ends_with_its_session(site: Site, house: House) -> None:
    campaign = await sending(house)
    async with listening(site, f"/campaigns/{campaign}/live") as heard:
        await until(lambda: heard.last)
        async with house.database.begin() as conn:
            await conn.execute(delete(sessions))
        await until(lambda: heard.ended)
        assert heard.events[-1][0] == "gone"


async def test_a_stream_ends_when_the_server_stops(site: Site, house: House) -> None:
    campaign = await sending(house)
    async with listening(site, f"/campaigns/{campaign}/live") as heard:
        await until(lambda: heard.last)
        site.house.stopping.set()
        await until(lambda: heard.ended)


async def test_a_campaign_moves_pauses_and_finishes_before_ones_eyes(
    site: Site, house: House, open_page: OpenPage
) -> None:
    campaign = await sending(house, rate_per_second=60)
    page = await open_page("marketer", viewport={"width": 1440, "height": 900})
    await page.goto(f"/campaigns/{campaign}")
    shown_live, sent = page.locator("#live"), page.locator("#legend-sent strong")
    await expect(page.locator("[data-live-dot]")).to_have_text("live")
    await expect(page.get_by_role("button", name="Resume")).to_be_hidden()
    async with working(house):
        await expect(sent).not_to_have_text("0")
        example = page.locator("#answers summary").first
        await example.click()
        await expect(page.locator("#answers details")).to_have_attribute("open", "")
        await page.evaluate("window.stayed = document.querySelector('#answers details')")
        async with house.database.begin() as conn:
            run_id = await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign))
            await pause_run(conn, run_id, now=utc_now(), reason="the server refuses for policy: 554 5.7.1")
        await expect(shown_live.get_by_text("the server refuses for policy: 554 5.7.1")).to_be_visible()
        await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
        assert await page.evaluate("window.stayed.isConnected && window.stayed.open")  # nothing was drawn anew
        await expect(page.locator("#report")).not_to_contain_text("Nothing was sent yet")  # what takes counting follows
        assert await page.locator("#report [data-chart] svg").count() == 1
        await page.locator(".live-pause").get_by_role("button", name="Resume").click()
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        await expect(page.get_by_role("heading", name="Over time")).to_be_visible(timeout=30_000)
        await expect(page.locator("#outcome")).to_be_visible(timeout=30_000)  # the whole report, once it is over
    counts = (await record(house, campaign))["counts"]
    await expect(page.locator("#outcome")).to_contain_text(f"{PEOPLE} / {PEOPLE}")
    await page.locator("#answers .num a").first.click()
    await expect(page.locator("#results tbody tr")).to_have_count(min(50, counts["failed"]))


async def test_without_scripts_the_page_says_the_same(site: Site, house: House, open_page: OpenPage) -> None:
    campaign = await sending(house)
    async with house.database.begin() as conn:
        await pause(conn, campaign, now=utc_now(), reason="lunch")
    page = await open_page("analyst", java_script_enabled=False)
    await page.goto(f"/campaigns/{campaign}")
    await expect(page.locator("#live")).to_contain_text("lunch")
    await expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    assert await page.locator("noscript meta[http-equiv=refresh]").count() or "refresh" in await page.content()
    async with house.database.begin() as conn:
        await resume(conn, campaign, now=utc_now())
        await cancel(conn, campaign, now=utc_now())
    await page.reload()
    await expect(page.locator("#outcome")).to_contain_text("Cancelled")


async def test_the_numbers_of_a_large_campaign_come_by_themselves(
    site: Site, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign_report, "MANY", -1)
    campaign = await sending(site.house, rate_per_second=1)
    async with working(site.house):
        await until(lambda: sent_some(site.house, campaign))
    page = await open_page("marketer")
    await page.goto(f"/campaigns/{campaign}")
    await expect(page.locator("#live .live-legend")).to_be_visible()
    await expect(page.get_by_text("being counted")).to_have_count(0)
    await expect(page.get_by_role("heading", name="From audience to order")).to_be_visible()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()


async def sent_some(house: House, campaign_id: int) -> bool:
    return bool((await record(house, campaign_id))["counts"]["sent"])

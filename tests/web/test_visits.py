"""Visits to the shop's pages: the token of a click says who, only on the shop's own hosts, only if it wants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import insert, select

from runtime.clock import utc_now
from runtime.house import House
from tests.tracking.people_with_mail import make_messages, make_people, message
from tracking.ledger import MessageKey
from tracking.models import events, link_tables
from tracking.recount import recount
from tracking.tokens import MessageUrls
from tracking.visits import landing
from web.app import create_app

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36"
LINKS = ["https://shop.example.com/air?x=1#top", "https://other.example.com/", "https://shop.example.com"]
SITES = ("shop.example.com",)


@pytest.fixture
async def key(house: House) -> MessageKey:
    async with house.database.begin() as conn:
        [key] = await make_messages(conn, await make_people(conn, 1), sent_at=utc_now() - timedelta(hours=1))
        await conn.execute(insert(link_tables), {"run_id": 1, "links": LINKS})
        await recount(conn)  # their rows were made by hand
    return key


@pytest.fixture
async def shop(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(replace(house, settings=replace(house.settings, visit_sites=SITES)))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", headers={"user-agent": AGENT}
    ) as made:
        yield made


def clicks(house: House, key: MessageKey) -> list[str]:
    return MessageUrls(house.signer, "", key).clicks(len(LINKS))


async def test_a_click_on_the_shop_carries_its_token_there_and_nowhere_else(
    house: House, shop: httpx.AsyncClient, client: httpx.AsyncClient, key: MessageKey
) -> None:
    paths = clicks(house, key)
    tokens = [path.removeprefix("/c/") for path in paths]
    led = [(await shop.get(path)).headers["location"] for path in paths]
    assert led == [
        f"https://shop.example.com/air?x=1&hearth={tokens[0]}#top",
        "https://other.example.com/",
        f"https://shop.example.com?hearth={tokens[2]}",
    ]
    assert (await client.get(paths[0])).headers["location"] == LINKS[0]  # not asked for: off


async def test_a_visit_is_an_event_of_who_clicked_and_moves_no_fold(
    house: House, shop: httpx.AsyncClient, key: MessageKey
) -> None:
    token = clicks(house, key)[0].removeprefix("/c/")
    page = f"https://SHOP.example.com/fridge?a=%E5%86%B0&hearth={token}#x"
    answer = await shop.post(f"/p/{token}", content=page, headers={"origin": "https://shop.example.com"})
    assert (answer.status_code, answer.content, "set-cookie" in answer.headers) == (204, b"", False)
    async with house.database.begin() as conn:
        event = (await conn.execute(select(events))).one()
        row = await message(conn, key)
        assert (event.customer_id, event.kind, event.run_id, event.machine) == (key.customer_id, "page_visit", 1, False)
        assert event.link == "https://shop.example.com/fridge?a=%E5%86%B0"
        assert (row.opens, row.clicks, row.opened_at) == (0, 0, None)
        assert (await recount(conn)).total == 0


@pytest.mark.parametrize(
    ("page", "origin"),
    [
        ("https://other.example.com/", None),
        ("https://shop.example.com/", "https://other.example.com"),
        ("https://shop.example.com.evil.example/", None),
        ("javascript://shop.example.com/", None),
        ("https://[", None),
        ("", None),
    ],
)
async def test_pages_of_others_leave_no_trace(
    house: House, shop: httpx.AsyncClient, key: MessageKey, page: str, origin: str | None
) -> None:
    token = clicks(house, key)[0].removeprefix("/c/")
    answer = await shop.post(f"/p/{token}", content=page, headers={"origin": origin} if origin else {})
    assert answer.status_code == 404
    async with house.database.connect() as conn:
        assert (await conn.execute(select(events))).all() == []


async def test_forged_tokens_and_machines(
    house: House, shop: httpx.AsyncClient, client: httpx.AsyncClient, key: MessageKey
) -> None:
    good = clicks(house, key)[0].removeprefix("/c/")
    page = "https://shop.example.com/"
    for token in ("x", MessageUrls(house.signer, "", key).open.removeprefix("/o/")):
        assert (await shop.post(f"/p/{token}", content=page)).status_code == 404
    assert (await client.post(f"/p/{good}", content=page)).status_code == 404  # not asked for: off
    assert (await shop.post(f"/p/{good}", content="x" * 5_000)).status_code == 413
    for origin in ("http://[::1", "null", "https://shop.example.com:x", "https://shop.example.com/"):
        assert (await shop.post(f"/p/{good}", content=page, headers={"origin": origin})).status_code == 404, origin
    assert (await shop.post(f"/p/{good}", content=page, headers={"user-agent": "curl/8"})).status_code == 204
    async with house.database.connect() as conn:
        assert (await conn.execute(select(events.c.kind, events.c.machine_reason))).all() == [("page_visit", "tool")]


def test_where_a_click_lands() -> None:
    assert landing("https://shop.example.com/a#b", "t", ()) == "https://shop.example.com/a#b"
    assert landing("https://user@shop.example.com/", "t", SITES) == "https://user@shop.example.com/"

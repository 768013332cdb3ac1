"""A real server and a real browser: `site` and `open_page`."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from argon2 import PasswordHasher
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from sqlalchemy import insert

from runtime.clock import utc_now
from runtime.house import House
from tests.waiting import until
from web.app import create_app
from web.models import users
from web.server import Server
from web.sessions import open_session

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXPECTED = re.compile(  # answers that a test provokes; what the frame of a mail holds back; what is not waited for
    r"the server responded with a status of 4"
    r"|violates the following Content Security Policy directive: \"img-src data:"
    r"|^Blocked script execution in .* because the document's frame is sandboxed"
    r"|^htmx:afterRequest"  # a request that a later one of the same form replaced
)
PASSWORD = "correct horse battery"
CHEAP_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

OpenPage = Callable[..., Awaitable[Page]]


@dataclass(frozen=True)
class Site:
    """A running web process over the test's database."""

    url: str
    house: House


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    """uvicorn on a free port, in this loop; the house's public address is the server's own, so links in mails lead to
    it.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = replace(house.settings, public_url=url)
    here = replace(house, settings=settings, stopping=asyncio.Event())
    server = Server(uvicorn.Config(create_app(here), log_level="warning"), here)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started or running.done())
    yield Site(url, here)
    server.should_exit = True
    await running


@pytest.fixture
def chromium() -> str:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    return CHROMIUM


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        await started.close()


async def add_user(house: House, email: str, role: str, **columns: Any) -> int:
    """A user whose password is PASSWORD."""
    row = {"email": email, "email_folded": email, "name": role.title(), "password_hash": CHEAP_HASH, "role": role}
    async with house.database.begin() as conn:
        made = await conn.execute(insert(users).values(row | {"created_at": utc_now()} | columns).returning(users.c.id))
        return int(made.scalar_one())


@pytest.fixture
async def open_page(site: Site, browser: Browser) -> AsyncIterator[OpenPage]:
    """`await open_page("admin", locale="zh-CN", …)`: a page signed in as a new user of that role (None: nobody).

    Keyword arguments are those of Playwright's `new_context`. Errors in any page's console fail the test at its end;
    answers of 4xx that a test provokes are not errors.
    """
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not EXPECTED.search(message.text):
            errors.append(f"{message.text} ({message.location['url']})")

    async def make(role: str | None = "admin", **options: Any) -> Page:
        context = await browser.new_context(base_url=site.url, **({"locale": "en-US"} | options))
        if role is not None:
            await context.add_cookies([await _session_cookie(site, role)])
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    assert errors == []


async def _session_cookie(site: Site, role: str) -> Any:
    now = utc_now()
    columns = {"salesperson": "s1"} if role == "salesperson" else {}
    user_id = await add_user(site.house, f"{role}-{now.timestamp()}@example.com", role, **columns)
    async with site.house.database.begin() as conn:
        secret = await open_session(conn, user_id, "127.0.0.1", "browser", now)
    return {"name": "hearth", "value": secret, "domain": urlsplit(site.url).hostname, "path": "/", "httpOnly": True}

"""The short cut of the web process, over real connections: the answers of the ordinary way, in order, committed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
import uvicorn
from sqlalchemy import func, insert, make_url, select
from starlette.applications import Starlette

from runtime.clock import utc_now
from runtime.database import Database
from runtime.house import House
from runtime.settings import Settings
from tests.tracking.people_with_mail import make_messages, make_people
from tests.waiting import until
from tracking.ledger import MessageKey
from tracking.models import events, link_tables
from tracking.tokens import MessageUrls
from web.app import create_app
from web.front import Front
from web.server import configured

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36"
LINKS = ["https://shop.example.com/air?x=1&y=é", "https://b.example.com/", "https://c.example.com/"]


@dataclass
class Wire:
    """One connection; `say` sends requests as they are, `hear` reads one answer: status, headers, body."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, *paths: str, method: str = "GET", more: str = "", agent: str = AGENT) -> None:
        for path in paths:
            self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n{more}\r\n".encode())

    async def hear(self, *, bodyless: bool = False) -> tuple[int, dict[str, str], bytes]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if bodyless else int(headers.get("content-length", "0"))
        return int(first.split()[1]), headers, await self.reader.readexactly(length)


@contextlib.asynccontextmanager
async def running(house: House) -> AsyncIterator[tuple[Starlette, uvicorn.Server]]:
    """The web process's server over the app, on a port of its own."""
    app = create_app(house)
    config = configured(app, Front(app.state.tracker, hsts=False))
    config.port, config.lifespan = 0, "off"
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield app, server
    server.should_exit = True
    await task
    await app.state.tracker.collector.close()


async def connected(server: uvicorn.Server) -> Wire:
    return Wire(*await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1]))


@pytest.fixture
async def serving(house: House) -> AsyncIterator[uvicorn.Server]:
    async with running(house) as (_, server):
        yield server


@pytest.fixture
async def wire(serving: uvicorn.Server) -> AsyncIterator[Wire]:
    made = await connected(serving)
    yield made
    made.writer.close()


@pytest.fixture
async def own(house: House) -> MessageUrls:
    """The paths of a message that was sent an hour ago."""
    async with house.database.begin() as conn:
        [key] = await make_messages(conn, await make_people(conn, 1), sent_at=utc_now() - timedelta(hours=1))
        await conn.execute(insert(link_tables), {"run_id": 1, "links": LINKS})
    return MessageUrls(house.signer, "", MessageKey(*key))


async def stored(house: House) -> list[tuple[str, str | None]]:
    async with house.database.connect() as conn:
        rows = await conn.execute(select(events.c.kind, events.c.machine_reason).order_by(events.c.at))
        return [(row.kind, row.machine_reason) for row in rows]


async def test_a_pixel_is_answered_once_it_is_committed(house: House, wire: Wire, own: MessageUrls) -> None:
    wire.say(own.open)
    status, headers, body = await wire.hear()
    assert (status, headers["content-type"], body[:6]) == (200, "image/gif", b"GIF89a")
    assert "no-store" in headers["cache-control"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "date" in headers
    assert await stored(house) == [("opened", None)]


async def test_a_connection_is_kept_while_it_is_used_and_closed_when_it_rests(house: House, own: MessageUrls) -> None:
    async with running(house) as (_, server):
        server.config.timeout_keep_alive = 1
        wire = await connected(server)
        begun = time.monotonic()
        while time.monotonic() < begun + 2.5:  # by both ways
            wire.say(own.open, "/health")
            assert [(await wire.hear())[0] for _ in range(2)] == [200, 200]
        rested = time.monotonic()
        assert await asyncio.wait_for(wire.reader.read(), 30) == b""
        assert time.monotonic() > rested + 0.5
        wire.writer.close()


async def test_a_click_goes_where_the_ordinary_way_sends_it(house: House, wire: Wire, own: MessageUrls) -> None:
    first, second = own.clicks(2)
    for _ in range(2):  # by the ordinary way, which looks up the table; then by the short cut
        wire.say(first)
        status, headers, _ = await wire.hear()
        assert (status, headers["location"]) == (302, "https://shop.example.com/air?x=1&y=%C3%A9")
    wire.say(second)
    assert (await wire.hear())[1]["location"] == LINKS[1]
    assert await stored(house) == [("clicked", None)] * 3


async def test_requests_in_one_go_are_answered_in_their_order(house: House, wire: Wire, own: MessageUrls) -> None:
    wire.say(own.open, "/health", own.clicks(1)[0], own.open, "/o/forged")
    answers = [await wire.hear() for _ in range(5)]
    assert [status for status, _, _ in answers] == [200, 200, 302, 200, 404]
    assert [body[:1] for _, _, body in answers[:4]] == [b"G", b"{", b"", b"G"]
    assert sorted(kind for kind, _ in await stored(house)) == ["clicked", "opened", "opened"]


async def test_forged_tokens_meet_the_same_page_and_leave_no_row(house: House, wire: Wire, own: MessageUrls) -> None:
    good = own.open.rpartition("/")[2]
    pages = set()
    for path in ("/o/forged", "/o/forged", f"/c/{good}", f"/o/{good[:-1]}", "/o/", f"/c/{own.unsubscribe[3:]}"):
        wire.say(path, more="Accept-Language: zh-CN,zh;q=0.9\r\n")
        status, headers, body = await wire.hear()
        assert (status, "location" in headers) == (404, False)
        pages.add(body.partition(b"<main")[2])
    assert len(pages) == 1
    assert "链接".encode() in pages.pop()
    assert await stored(house) == []


@pytest.mark.parametrize("more", ["Cookie: hearth_language=zh\r\n", "Content-Length: 0\r\n"])
async def test_what_is_not_plain_goes_the_ordinary_way(house: House, wire: Wire, own: MessageUrls, more: str) -> None:
    wire.say(own.open, more=more)
    assert (await wire.hear())[0] == 200
    wire.say(own.open + "?lang=zh")
    assert (await wire.hear())[0] == 200
    wire.say(own.open, method="HEAD")
    assert (await wire.hear(bodyless=True))[0] == 200
    assert sorted(str(reason) for _, reason in await stored(house)) == ["None", "None", "head"]


async def test_machines_are_known_by_agent_and_by_header(house: House, wire: Wire, own: MessageUrls) -> None:
    wire.say(own.open, agent="curl/8.0")
    wire.say(own.open, more="Sec-Purpose: prefetch;prerender\r\n")
    for _ in range(2):
        assert (await wire.hear())[0] == 200
    assert sorted(str(reason) for _, reason in await stored(house)) == ["prefetch", "tool"]


async def test_a_connection_is_closed_when_its_client_asks(wire: Wire, own: MessageUrls) -> None:
    wire.say(own.open, more="Connection: close\r\n")
    status, headers, _ = await wire.hear()
    assert (status, headers["connection"]) == (200, "close")
    assert await wire.reader.read() == b""


async def test_who_goes_away_leaves_the_open_behind(house: House, wire: Wire, own: MessageUrls) -> None:
    wire.say(own.open)
    await wire.writer.drain()
    wire.writer.close()

    async def there() -> bool:
        async with house.database.connect() as conn:
            return bool(await conn.scalar(select(func.count()).select_from(events)))

    await until(there, 20)


async def test_a_stop_waits_for_what_is_being_committed(
    house: House, serving: uvicorn.Server, wire: Wire, own: MessageUrls
) -> None:
    wire.say(own.open)
    await wire.writer.drain()
    await until(lambda: serving.server_state.connections)
    serving.should_exit = True
    assert (await wire.hear())[0] == 200
    assert await stored(house) == [("opened", None)]


@dataclass
class Gate:
    """The way to the database, which can be shut: a port of this machine in front of its socket."""

    socket: str
    server: asyncio.Server | None = None
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self.socket)
        self.writers += [writer, inner_writer]
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def gate(settings: Settings) -> AsyncIterator[Gate]:
    url = make_url(str(settings.database_url))
    made = Gate(f"{url.query['host']}/.s.PGSQL.{url.query.get('port', 5432)}")
    await made.open()
    yield made
    await made.shut()


async def test_with_the_database_away_links_lead_on_and_the_facts_come_later_and_once(
    house: House, gate: Gate, own: MessageUrls
) -> None:
    url = make_url(str(house.settings.database_url)).difference_update_query(["host", "port"])
    through = Database(url.set(host="127.0.0.1", port=gate.port).render_as_string(hide_password=False))
    async with running(replace(house, database=through)) as (app, server):
        app.state.tracker.collector.open()
        wire = await connected(server)
        first, second = own.clicks(2)
        wire.say(first)
        assert (await wire.hear())[0] == 302
        await gate.shut()
        wire.say(own.open, second, own.open)
        assert [(await wire.hear())[0] for _ in range(3)] == [200, 302, 200]
        wire.say(MessageUrls(house.signer, "", MessageKey(1, 2)).clicks(1)[0])
        status, headers, _ = await wire.hear()
        assert (status, "retry-after" in headers) == (503, True)
        assert await stored(house) == [("clicked", None)]
        await gate.open()
        await until(lambda: _count(house, 4))
        wire.say(own.open)
        assert (await wire.hear())[0] == 200
        assert sorted(kind for kind, _ in await stored(house)) == ["clicked"] * 2 + ["opened"] * 3
        wire.writer.close()
    await through.close()


async def _count(house: House, wanted: int) -> bool:
    return len(await stored(house)) == wanted

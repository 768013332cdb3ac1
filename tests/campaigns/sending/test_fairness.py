"""One slow or silent recipient domain, and one slow campaign, stall nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import func, select, text, update

from campaigns.dispatch.batch import defer_batches
from campaigns.freeze import prepare_run
from campaigns.models import runs
from customers.models import contact_addresses
from runtime.house import House
from tests.campaigns.scene import Sink, add_people, finished, launched, record, working
from tests.waiting import until


@dataclass
class Silent:
    """A mail server that never answers a recipient of `domain`, and takes everything else."""

    domain: str
    taken: list[str] = field(default_factory=list)
    port: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        recipient = ""
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "EHLO":
                writer.write(b"250-here\r\n250 PIPELINING\r\n")
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.taken.append(recipient)
                writer.write(b"250 2.0.0 taken\r\n")
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                if recipient.endswith(self.domain):
                    await writer.drain()
                    await self.over.wait()
                writer.write(b"250 fine\r\n")
            else:
                writer.write(b"250 fine\r\n")
            await writer.drain()


@asynccontextmanager
async def silent_server(domain: str) -> AsyncIterator[Silent]:
    found = Silent(domain)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await found.serve(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def test_a_silent_domain_does_not_stall_the_others(house: House) -> None:
    async with silent_server("dead.example") as server:
        url = f"smtp://127.0.0.1:{server.port}?connections=8&timeout=60&starttls=never"
        house = dataclasses.replace(house, settings=dataclasses.replace(house.settings, smtp_url=url))
        async with house.database.begin() as conn:
            ids = await add_people(conn, 120)
            for place, domain in enumerate(("dead.example", "calm.example", "else.example")):
                mine = contact_addresses.c.customer_id.in_(ids[place::3])
                moved = func.replace(contact_addresses.c.value, "example.com", domain)
                await conn.execute(update(contact_addresses).where(mine).values(value=moved))
        await launched(house)
        async with working(house):
            # Of 80, those may wait that were announced behind a message to the silent domain.
            await until(lambda: len(server.taken) >= 76, 30)
            server.over.set()  # so that the worker can stop


async def test_a_slow_campaign_leaves_room_for_others(house: House, sink: Sink) -> None:
    """Its many batches would fill every place of a worker, were they all to wait for their turn there."""
    async with house.database.begin() as conn:
        await add_people(conn, 60)
    slow = await launched(house, options={"rate_per_second": 2}, name="slow")
    async with house.database.connect() as conn:
        run_id = await conn.scalar(select(runs.c.id))
    await prepare_run(house, run_id=run_id)
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET batch = customer_id % 12 WHERE state = 'queued'"))
        await defer_batches(conn, run_id)
    async with working(house):
        await until(lambda: len(sink.mails) >= 2)
        quick = await launched(house, name="quick")
        found = await finished(house, quick, 15)
    assert found["counts"]["sent"] == 60
    assert (await record(house, slow))["state"] == "sending"

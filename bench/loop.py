"""Messages a second of a whole campaign: launched, frozen, sent in batches over SMTP, each result recorded.

Ours: the reference mail to everybody through one worker as `hearth worker` runs it, from the launch to the moment
when the campaign is finished, against a durable database. The baseline: aiosmtplib's `sendmail` of one constant message
of the same size, over as many connections into the same smtp-sink, nothing rendered and nothing recorded.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiosmtplib
from sqlalchemy import text

import hearth
from bench.ground import mail_sink, settle_people, throwaway_house
from bench.harness import Result, alternate, main
from bench.reference import CONTENT, compiled
from bench.render import Ours
from campaigns import store
from campaigns.launch import launch
from runtime.clock import utc_now
from runtime.errors import HearthError
from runtime.house import House
from runtime.worker import run_worker

PEOPLE = 5_000  # at scale 1
CONNECTIONS = 20  # the default of HEARTH_SMTP_URL
ROUNDS = 3
BAR = 0.2  # measured 0.4 to 0.5; a slow disk halves it, since connections wait for their commits
GOAL = 3.0
_PATIENCE = 600.0  # seconds for one campaign
_LOOK = 0.1  # seconds between two looks at its state


class Unfinished(HearthError):
    """The campaign did not reach everybody."""


async def measure(scale: float) -> list[Result]:
    hearth.install()
    count = max(50, int(PEOPLE * scale))
    data = Ours(compiled(), eight_bit=True).message(1)
    with mail_sink() as port:
        async with throwaway_house(f"smtp://127.0.0.1:{port}?connections={CONNECTIONS}") as house:
            async with house.database.begin() as conn:
                await settle_people(conn, count)
            async with _worker(house):
                await _campaign(house, count)  # the first one opens connections and prepares statements
                pair = await alternate(lambda: _campaign(house, count), lambda: _sendmail(port, data, count), ROUNDS)
    return [pair.rate("loop", "messages/s", "aiosmtplib sendmail", bar=BAR, goal=GOAL)]


@asynccontextmanager
async def _worker(house: House) -> AsyncIterator[None]:
    own = replace(house, stopping=asyncio.Event())
    worker = asyncio.create_task(run_worker(own))
    try:
        yield
    finally:
        own.stopping.set()
        await worker


async def _campaign(house: House, count: int) -> float:
    """Messages a second."""
    body = {"name": "换新周", "channel": "email", "rule": {"all": []}, "content": CONTENT}
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, body, settings=house.settings, by=None)
    begun = time.perf_counter()
    async with house.database.begin() as conn:
        await launch(conn, campaign_id, settings=house.settings, now=utc_now())
    await _finished(house, campaign_id)
    seconds = time.perf_counter() - begun
    async with house.database.connect() as conn:
        sent = await conn.scalar(_SENT, {"id": campaign_id})
    if sent != count:
        raise Unfinished(f"{sent} of {count} messages were sent")
    return count / seconds


async def _finished(house: House, campaign_id: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        async with house.database.connect() as conn:
            if await conn.scalar(_STATE, {"id": campaign_id}) == "finished":
                return
        await asyncio.sleep(_LOOK)
    raise Unfinished(f"the campaign was not finished within {_PATIENCE:g} s")


async def _sendmail(port: int, data: bytes, count: int) -> float:
    """Messages a second."""
    numbers = iter(range(count))

    async def connection() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for number in numbers:
                await client.sendmail("news@shop.example", [f"c{number}@example.com"], data)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(connection())
    return count / (time.perf_counter() - begun)


_STATE = text("SELECT state FROM campaigns WHERE id = :id")
_SENT = text("SELECT count(*) FROM messages WHERE campaign_id = :id AND state = 'sent'")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))

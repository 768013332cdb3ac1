"""Senders killed at random points, PostgreSQL stopped mid-campaign: FAULTS.md rows 1 and 3, small."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from runtime.house import House, open_house
from runtime.postgres import Server
from runtime.settings import Settings
from runtime.worker import release_stalled
from tests.campaigns.scene import Sink, add_people, finished, launched, record, working
from tests.waiting import until

SOAK = bool(os.environ.get("HEARTH_SOAK"))
PEOPLE, KILLS, STOPS = (100_000, 40, 20) if SOAK else (1_200, 5, 2)
CONNECTIONS = 4
HEARTH = Path(__file__).parents[2] / "hearth.py"


@asynccontextmanager
async def sender(house: House, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own; killed at the end if it still runs."""
    environ = {
        **os.environ,
        "HEARTH_DATABASE_URL": str(house.settings.database_url),
        "HEARTH_SECRET_KEY": str(house.settings.secret_key),
        "HEARTH_SMTP_URL": str(house.settings.smtp_url),
        "HEARTH_DATA_DIR": str(folder),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, str(HEARTH), "worker", env=environ)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_a_killed_sender_loses_nothing_and_repeats_at_most_what_was_in_flight(
    house: House, sink: Sink, tmp_path: Path
) -> None:
    async with house.database.begin() as conn:
        people = await add_people(conn, PEOPLE)
    campaign_id = await launched(house)
    rng = random.Random(1)
    for turn in range(KILLS):
        mark = len(sink.mails) + rng.randint(1, PEOPLE // KILLS)
        if mark >= PEOPLE - 10:
            break
        async with sender(house, tmp_path):
            await until(lambda mark=mark: len(sink.mails) >= mark, 60)
        assert (await record(house, campaign_id))["state"] in ("preparing", "sending"), turn
        await release_stalled(house, 0.0)
    async with sender(house, tmp_path):
        found = await finished(house, campaign_id, 120)
    received = Counter(sink.addresses)
    assert len(received) == len(people), "lost"
    assert len(sink.mails) - len(people) <= KILLS * CONNECTIONS, "repeated"
    assert found["counts"]["sent"] == len(people)
    async with house.database.connect() as conn:
        known = {row.provider_id for row in await conn.execute(text("SELECT provider_id FROM messages"))}
    assert {message_id.strip("<>").partition("@")[0] for message_id in sink.ids} == known


async def test_a_sender_that_is_asked_to_stop_repeats_nothing(house: House, sink: Sink, tmp_path: Path) -> None:
    async with house.database.begin() as conn:
        people = await add_people(conn, 400)
    campaign_id = await launched(house, options={"rate_per_second": 200})
    for _ in range(2):
        async with sender(house, tmp_path) as process:
            mark = len(sink.mails) + 20
            await until(lambda mark=mark: len(sink.mails) >= mark, 60)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0
        counts = (await record(house, campaign_id))["counts"]
        assert (counts["sent"], counts["sending"], counts["unknown"]) == (len(sink.mails), 0, 0)
    async with working(house):
        await finished(house, campaign_id)
    assert len(sink.addresses) == len(set(sink.addresses)) == len(people)


async def test_postgresql_stopped_at_once_again_and_again(house: House, settings: Settings, sink: Sink) -> None:
    own = dataclasses.replace(settings, database_url=None, smtp_url=house.settings.smtp_url)
    async with open_house(own) as embedded:
        async with embedded.database.begin() as conn:
            people = await add_people(conn, PEOPLE)
        campaign_id = await launched(embedded, options={"rate_per_second": 400})
        async with working(embedded):
            for _ in range(STOPS):
                mark = len(sink.mails) + 50
                await until(lambda mark=mark: len(sink.mails) >= mark, 60)
                server = Server(own.data_dir)
                os.kill(int((server.cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
                stopped_at = len(sink.mails)
                await until(lambda stopped_at=stopped_at: len(sink.mails) > stopped_at + CONNECTIONS, 30)
            found = await finished(embedded, campaign_id, 120)
    received = Counter(sink.addresses)
    assert len(received) == len(people) == found["counts"]["sent"]
    assert len(sink.mails) - len(people) <= STOPS * CONNECTIONS

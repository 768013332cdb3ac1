"""PostgreSQL killed again and again: the worker and the scheduler resume by themselves and no job is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from runtime import jobs, scheduler
from runtime.errors import Unavailable
from runtime.house import House, open_house
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.postgres import Server
from runtime.scheduler import run_scheduler, tick
from runtime.settings import Settings
from runtime.worker import run_worker
from tests.waiting import until

KILLS = 20 if os.environ.get("HEARTH_SOAK") else 3
RESUMED_SECONDS = 30


@pytest.fixture(autouse=True)
def _own_jobs_and_ticks() -> Iterator[None]:
    declared, registered = dict(jobs.declared_jobs()), dict(scheduler.registered_ticks())
    jobs._declared.clear()
    scheduler._registered.clear()
    yield
    jobs._declared.clear()
    jobs._declared.update(declared)
    scheduler._registered.clear()
    scheduler._registered.update(registered)


async def count(house: House, table: str) -> int:
    try:
        async with house.database.connect() as conn:
            return int(await conn.scalar(text(f"SELECT count(*) FROM {table}")) or 0)
    except Unavailable:
        return -1


async def test_work_goes_on_after_each_kill(settings: Settings) -> None:
    @job("test.mark")
    async def mark(house: House, *, n: int) -> None:
        async with house.database.begin() as conn:
            await conn.execute(text("INSERT INTO marks VALUES (:n) ON CONFLICT DO NOTHING"), {"n": n})

    @tick(every=timedelta(seconds=0.2))
    async def beat(house: House, term: Term, _now: datetime) -> None:
        async with house.database.begin() as conn:
            await check_term(conn, term)
            await conn.execute(text("INSERT INTO beats DEFAULT VALUES"))

    embedded = dataclasses.replace(settings, database_url=None)
    async with open_house(embedded) as house:
        async with house.database.begin() as conn:
            await conn.execute(text("CREATE TABLE marks (n int PRIMARY KEY)"))
            await conn.execute(text("CREATE TABLE beats (at timestamptz DEFAULT now())"))
        processes = [asyncio.create_task(run_worker(house)), asyncio.create_task(run_scheduler(house))]
        for round_ in range(KILLS):
            await _defer_and_kill(house, Server(settings.data_dir), round_)

        async def drained() -> bool:  # a job that was done may run again, when its end could not be noted
            return await count(house, "procrastinate_jobs") == 0

        await until(drained, RESUMED_SECONDS)
        house.stopping.set()
        await asyncio.wait_for(asyncio.gather(*processes), 30)


async def _defer_and_kill(house: House, server: Server, round_: int) -> None:
    async with house.database.begin() as conn:
        for n in range(round_ * 200, (round_ + 1) * 200):
            await defer(conn, jobs.declared_jobs()["test.mark"], n=n)
    await asyncio.sleep(0.05)  # somewhere in the middle of them
    os.kill(int((server.cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    killed = time.monotonic()
    beats = 10**9

    async def resumed() -> bool:
        nonlocal beats
        marks, seen = await count(house, "marks"), await count(house, "beats")
        beats = min(beats, seen) if seen >= 0 else beats
        return marks == (round_ + 1) * 200 and seen > beats

    await until(resumed, RESUMED_SECONDS)
    assert time.monotonic() - killed < RESUMED_SECONDS

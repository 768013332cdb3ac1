"""FAULTS.md row 7: two schedulers and two senders, killed in turn and frozen, while schedules fall due.

At full size with HEARTH_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from campaigns import store
from campaigns.launch import launch
from campaigns.models import campaigns, occurrences, runs
from runtime.clock import utc_now
from runtime.house import House
from runtime.worker import release_stalled
from tests.acceptance import nursery
from tests.campaigns.conftest import house, sink
from tests.campaigns.scene import Sink, add_people, body
from tests.waiting import until
from tracking.models import messages

__all__ = ["house", "sink"]  # fixtures

SOAK = bool(os.environ.get("HEARTH_SOAK"))
SCHEDULES, ROUNDS, SPAN, FROZEN = (100, 8, 90.0, 60.0) if SOAK else (24, 1, 4.0, 0.0)
CONNECTIONS = 4
SILENT = 6.0  # seconds after which a worker counts as dead here


class Crew:
    """Processes of one installation, each by its name."""

    def __init__(self, house: House, folder: Path) -> None:
        self._log = folder / "log"
        self._environ = {
            "HEARTH_DATABASE_URL": str(house.settings.database_url),
            "HEARTH_SECRET_KEY": str(house.settings.secret_key),
            "HEARTH_SMTP_URL": str(house.settings.smtp_url),
            "HEARTH_DATA_DIR": str(folder / "var"),
        }
        self.of: dict[str, ForkServerProcess] = {}

    def start(self, name: str) -> None:
        """`scheduler 1` runs `hearth scheduler`."""
        self.of[name] = nursery.start(self._environ, self._log, name.split()[0])

    def kill(self, name: str) -> None:
        process = self.of.pop(name)
        process.kill()
        process.join()

    def end(self) -> None:
        for process in self.of.values():
            process.kill()
        for process in self.of.values():
            process.join()


@pytest.fixture
def crew(house: House, tmp_path: Path) -> Iterator[Crew]:
    made = Crew(house, tmp_path)
    yield made
    made.end()


async def falling_due(house: House, count: int, first: datetime, span: float) -> None:
    """So many campaigns to one person, due one after the other."""
    async with house.database.begin() as conn:
        for number in range(count):
            at = first + timedelta(seconds=span * number / count)
            asked = body(name=f"C{number}", schedule={"at": at.isoformat()})
            campaign_id = await store.create_campaign(conn, asked, settings=house.settings, by=None)
            await launch(conn, campaign_id, settings=house.settings, now=first - timedelta(seconds=1))


async def started(house: House) -> int:
    async with house.database.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(runs)) or 0)


async def done(house: House) -> bool:
    await release_stalled(house, SILENT)
    async with house.database.connect() as conn:
        left = select(func.count()).select_from(campaigns).where(campaigns.c.state != "finished")
        return await conn.scalar(left) == 0


async def test_killed_in_turn_each_occurrence_comes_once(house: House, sink: Sink, crew: Crew) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    names = ["scheduler 1", "worker 1", "scheduler 2", "worker 2"]
    for name in names:
        crew.start(name)
    await falling_due(house, SCHEDULES, utc_now() + timedelta(seconds=3), SPAN)
    victims = names * ROUNDS
    for place, name in enumerate(victims):
        mark = SCHEDULES * (place + 1) // (len(victims) + 2)
        await until(partial(_reached, house, mark), 60)
        crew.kill(name)
        crew.start(name)
    await until(lambda: done(house), 120)
    async with house.database.connect() as conn:
        noted = (await conn.execute(select(occurrences.c.schedule_id, occurrences.c.state))).all()
        each = (await conn.execute(select(messages.c.campaign_id, messages.c.state))).all()
    assert await started(house) == SCHEDULES
    assert sorted(noted) == sorted({*noted})
    assert [row.state for row in noted] == ["started"] * SCHEDULES
    assert len({row.campaign_id for row in each}) == len(each) == SCHEDULES
    assert {row.state for row in each} == {"sent"}
    assert len(set(sink.ids)) == SCHEDULES, "lost"
    assert len(sink.mails) - SCHEDULES <= 2 * ROUNDS * CONNECTIONS, "repeated"


async def test_a_leader_that_was_frozen_starts_nothing_of_its_old_term(house: House, crew: Crew) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    for name in ("scheduler 1", "scheduler 2"):
        crew.start(name)
    await until(lambda: _led(house), 30)
    holder, term = await _lease(house)
    pids = [process.pid for process in crew.of.values()]
    frozen = int(holder.split(":")[1])
    assert frozen in pids
    await falling_due(house, 6, utc_now() + timedelta(seconds=1), 9.0)
    os.kill(frozen, signal.SIGSTOP)
    try:
        await until(lambda: _led(house, after=term), 30)
        await until(lambda: _reached(house, 3), 30)
        await asyncio.sleep(FROZEN)
    finally:
        os.kill(frozen, signal.SIGCONT)
    await until(lambda: _reached(house, 6), 60)
    _holder, now_leading = await _lease(house)
    async with house.database.connect() as conn:
        terms: Sequence[int] = (await conn.execute(select(occurrences.c.term))).scalars().all()
    assert len(terms) == await started(house) == 6
    assert set(terms) <= {term, now_leading}
    assert now_leading > term
    assert list(terms).count(term) <= 1, "only what fell due before it was frozen"
    assert all(process.is_alive() for process in crew.of.values()), "it stands by again"


async def _reached(house: House, mark: int) -> bool:
    return await started(house) >= mark


async def _led(house: House, after: int = 0) -> bool:
    try:
        return (await _lease(house))[1] > after
    except LookupError:
        return False


async def _lease(house: House) -> tuple[str, int]:
    """Who leads, in which term. Raises LookupError."""
    async with house.database.connect() as conn:
        row = (await conn.execute(text("SELECT holder, term FROM leases WHERE name = 'scheduler'"))).one_or_none()
    if row is None:
        raise LookupError("nobody leads yet")
    return row.holder, row.term

"""The scheduler: rooms register ticks, and only the leader runs them.

    @tick(every=timedelta(seconds=1))
    async def start_due_campaigns(house: House, term: Term, now: datetime) -> None: ...

A tick keeps its truth in tables, calls `check_term(conn, term)` first in each transaction that writes, and is short.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.exc import DBAPIError

from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House
from runtime.leader import LEASE_SECONDS, NotLeader, Term, acquire, database_now, new_holder, release
from runtime.process import pause

log = logging.getLogger(__name__)

LEASE = "scheduler"
_RENEW_SECONDS = 1.0

TickFunction = Callable[[House, Term, datetime], Awaitable[None]]


@dataclass(frozen=True)
class Tick:
    """`function(house, term, now)` runs every so often while this process leads; `now` is the database's."""

    name: str
    every: timedelta
    function: TickFunction


_registered: dict[str, Tick] = {}


def tick(*, every: timedelta) -> Callable[[TickFunction], TickFunction]:
    """Register an async function as a tick; a run that is still going is not started again."""

    def register(function: TickFunction) -> TickFunction:
        name = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
        _registered[name] = Tick(name, every, function)
        return function

    return register


def registered_ticks() -> Mapping[str, Tick]:
    return _registered


async def run_scheduler(house: House) -> None:
    """Stand by or lead until `house.stopping`; survives any loss of the database."""
    clockwork = AsyncIOScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})

    def elected() -> None:  # what comes once an hour need not wait for an hour
        for job in clockwork.get_jobs():
            job.modify(next_run_time=utc_now())

    leadership = Leadership(house, elected)
    for each in registered_ticks().values():
        seconds = each.every.total_seconds()
        clockwork.add_job(leadership.run, "interval", [each], seconds=seconds, misfire_grace_time=None)
    clockwork.start()
    try:
        await leadership.hold()
    finally:
        clockwork.pause()
        await leadership.end()
        clockwork.shutdown()


class Leadership:
    """What this process knows of its own leading: a term, and until when it holds without a renewal."""

    def __init__(self, house: House, elected: Callable[[], None]) -> None:
        self.house = house
        self.elected = elected
        self.holder = new_holder()
        self.term: Term | None = None
        self._certain_until = 0.0  # monotonic
        self._running: set[asyncio.Task[None]] = set()

    @property
    def leading(self) -> Term | None:
        return self.term if time.monotonic() < self._certain_until else None

    async def hold(self) -> None:
        """Renew or try for the lease until the house stops."""
        away = False
        while not self.house.stopping.is_set():
            try:
                await self.renew()
                away = False
            except (Unavailable, DBAPIError) as error:
                if not away:
                    log.warning("the scheduler lost the database and waits for it: %s", error)
                away = True
            await pause(self.house, _RENEW_SECONDS)

    async def renew(self) -> None:
        asked = time.monotonic()
        async with self.house.database.begin() as conn:
            term = await acquire(conn, LEASE, self.holder)
        new, self.term = term != self.term, term
        self._certain_until = asked + LEASE_SECONDS
        if new and term is not None:
            log.info("this scheduler leads, term %s", term.number)
            self.elected()

    async def run(self, each: Tick) -> None:
        """One tick, if this process leads; after an error (which is logged) the next one tries again."""
        term = self.leading
        if term is None or self.house.stopping.is_set():
            return
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            async with self.house.database.connect() as conn:
                now = await database_now(conn)
            await each.function(self.house, term, now)
        except NotLeader as error:
            self.term = None
            log.warning("%s", error)
        except Unavailable:
            log.debug("tick %s waits for the database", each.name)
        finally:
            self._running.discard(task)

    async def end(self) -> None:
        """Let running ticks finish, then hand the lease on."""
        if self._running:
            await asyncio.wait(self._running, timeout=LEASE_SECONDS)
        with contextlib.suppress(Unavailable, DBAPIError):
            async with self.house.database.begin() as conn:
                await release(conn, LEASE, self.holder)

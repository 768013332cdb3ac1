"""Group commit: facts that arrive while one group is being written make up the next, and share its transaction."""

from __future__ import annotations

import asyncio
from collections import deque

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import OperationalError

from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from tracking.facts import Fact
from tracking.ingest import store

LARGEST_GROUP = 500
MOST_WAITING = 20_000  # beyond, a flood is refused instead of kept in memory
_TRIES = 3


class Collector:
    """One a process, on its event loop. `record` returns when the fact is committed, or raises what kept it from
    that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Fact, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def record(self, fact: Fact) -> None:
        """Raises Unavailable when the database does not answer or too many wait already."""
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("more opens and clicks arrive than can be written; try again in a moment")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((fact, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await done

    async def close(self) -> None:
        """Wait until all that was taken in is written."""
        if self._writer is not None:
            await asyncio.wait({self._writer})

    async def _write(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(LARGEST_GROUP, len(self._waiting)))]
            finished, _ = await asyncio.wait({asyncio.create_task(self._commit([fact for fact, _ in group]))})
            error = finished.pop().exception()
            for _, done in group:
                if done.done():  # the request was cancelled meanwhile
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    async def _commit(self, facts: list[Fact]) -> None:
        """One transaction; two processes whose groups lock each other up leave it to PostgreSQL who goes first."""
        for attempt in range(_TRIES):
            try:
                async with self._database.begin() as conn:
                    await store(conn, facts, utc_now())
                return
            except OperationalError as error:
                if not isinstance(error.orig, DeadlockDetected) or attempt == _TRIES - 1:
                    raise

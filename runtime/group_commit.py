"""Group commit: what arrives while one group is being written makes up the next, and shares its transaction."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Unavailable

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Write = Callable[[AsyncConnection, Sequence[Item]], Awaitable[None]]

LARGEST_GROUP = 500
LONGEST_HOLD = 0.02  # seconds
_TRIES = 3  # of groups of two processes that lock each other up: PostgreSQL says who goes first
_PAUSE = 0.2  # seconds


class GroupCommit(Generic[Item]):
    """One writer, on one event loop. `patience`: seconds for which a group is tried again where the database refuses
    it or is away. `hold`: a group stays open for this share of the time that the one before took, at most
    LONGEST_HOLD. Where items come from those who waited for that one, they would otherwise fall into two halves that
    wait for each other's commits."""

    def __init__(self, database: Database, write: Write[Item], *, patience: float = 0.0, hold: float = 0.0) -> None:
        self._database = database
        self._write = write
        self._patience = patience
        self._hold = hold
        self._took = 0.0
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items are in no group yet."""
        return len(self._waiting)

    def submit(self, item: Item) -> asyncio.Future[None]:
        """A future that is done once the item is committed, or failed with what kept its group from that: DBAPIError,
        Unavailable, whatever the write raised. Groups commit one after the other, in the order of submission."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._work_off())
        return done

    async def close(self) -> None:
        """Return when everything submitted is committed or has failed."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    async def _work_off(self) -> None:
        while self._waiting:
            if self._hold:
                await asyncio.sleep(min(self._hold * self._took, LONGEST_HOLD))
            begun = time.monotonic()
            group = [self._waiting.popleft() for _ in range(min(LARGEST_GROUP, len(self._waiting)))]
            [error] = await asyncio.gather(self._commit([item for item, _ in group]), return_exceptions=True)
            self._took = time.monotonic() - begun
            if error is not None:
                log.error("%s items lost their group commit (%s): %s", len(group), self._write.__qualname__, error)
            for _, done in group:
                _settle(done, error)

    async def _commit(self, items: Sequence[Item]) -> None:
        deadline = time.monotonic() + self._patience
        tries = 0
        while True:
            tries += 1
            try:
                async with self._database.begin() as conn:
                    await self._write(conn, items)
                return
            except (DBAPIError, Unavailable) as error:
                locked_up = isinstance(error, DBAPIError) and isinstance(error.orig, DeadlockDetected)
                if time.monotonic() >= deadline and not (locked_up and tries < _TRIES):
                    raise
            await asyncio.sleep(_PAUSE if self._patience else 0)


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():  # who waited was cancelled
        return
    if error is None:
        done.set_result(None)
        return
    done.set_exception(error)
    done.exception()  # nobody has to await it: the event loop need not complain

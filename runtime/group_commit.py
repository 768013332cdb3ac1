"""Group commit: what arrives while one group is being written makes up the next, and shares its transaction.

A connection is kept from group to group as long as there is something to write: taking one from the pool costs a
round trip, which every item of the group would wait for.
"""

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
    wait for each other's commits. `atomic` False: `write` needs no transaction, each of its statements commits by
    itself (one statement then is one round trip instead of three)."""

    def __init__(
        self,
        database: Database,
        write: Write[Item],
        *,
        patience: float = 0.0,
        hold: float = 0.0,
        atomic: bool = True,
    ) -> None:
        self._database = database
        self._write = write
        self._patience = patience
        self._hold = hold
        self._atomic = atomic
        self._took = 0.0
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._group: list[tuple[Item, asyncio.Future[None]]] = []
        self._tries = 0
        self._deadline = 0.0
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
        while self._waiting or self._group:
            [error] = await asyncio.gather(self._series(), return_exceptions=True)
            if error is not None and not (self._group and self._once_more(error)):
                log.error(
                    "%s items lost their group commit (%s): %s", len(self._group), self._write.__qualname__, error
                )
                self._end_group(error)
            elif error is not None:
                await asyncio.sleep(_PAUSE if self._patience else 0)

    async def _series(self) -> None:
        """Group after group over one connection, until nothing waits any more."""
        if not self._group:
            await self._begin_group()
        async with self._database.connect(autocommit=not self._atomic) as conn:
            while self._group:
                begun = time.monotonic()
                self._tries += 1
                await self._commit(conn, [item for item, _ in self._group])
                self._took = time.monotonic() - begun
                self._end_group(None)
                if self._waiting:
                    await self._begin_group()

    async def _commit(self, conn: AsyncConnection, items: Sequence[Item]) -> None:
        if not self._atomic:
            await self._write(conn, items)
            return
        async with conn.begin():
            await self._write(conn, items)

    async def _begin_group(self) -> None:
        if self._hold:
            await asyncio.sleep(min(self._hold * self._took, LONGEST_HOLD))
        self._group = [self._waiting.popleft() for _ in range(min(LARGEST_GROUP, len(self._waiting)))]
        self._tries, self._deadline = 0, time.monotonic() + self._patience

    def _once_more(self, error: BaseException) -> bool:
        locked_up = isinstance(error, DBAPIError) and isinstance(error.orig, DeadlockDetected)
        again = time.monotonic() < self._deadline or (locked_up and self._tries < _TRIES)
        return again and isinstance(error, DBAPIError | Unavailable)

    def _end_group(self, error: BaseException | None) -> None:
        group, self._group = self._group, []
        for _, done in group:
            _settle(done, error)


def _settle(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():  # who waited was cancelled
        return
    if error is None:
        done.set_result(None)
        return
    done.set_exception(error)
    done.exception()  # nobody has to await it: the event loop need not complain

"""Group commit: what arrives while one group is being written makes up the next, and shares its transaction.

A connection is kept from group to group as long as there is something to write: taking one from the pool costs a
round trip, which every item of the group would wait for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from psycopg.errors import DeadlockDetected
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Unavailable

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Write = Callable[[AsyncConnection, Sequence[Item]], Awaitable[None]]
Lost = Callable[[Sequence[Item], BaseException], None]

LARGEST_GROUP = 500
LONGEST_HOLD = 0.02  # seconds
_TRIES = 3  # of groups of two processes that lock each other up: PostgreSQL says who goes first
_PAUSE = 0.2  # seconds


class Group(Generic[Item]):
    """Items that commit together. Await it: it returns once they are committed, or raises what kept them from that.
    Who is cancelled while waiting takes nobody with them."""

    __slots__ = ("_waiting", "done", "error", "items")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.done = False
        self.error: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def __await__(self) -> Generator[asyncio.Future[None], None, None]:
        if not self.done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            yield from waiter
        if self.error is not None:
            raise self.error

    @property
    def committed(self) -> bool:
        return self.done and self.error is None

    def end(self, error: BaseException | None) -> None:
        self.done, self.error = True, error
        for waiter in self._waiting:
            if not waiter.done():  # else it was cancelled
                waiter.set_result(None)
        self._waiting.clear()


@dataclass
class _Lane(Generic[Item]):
    """A connection's turn: the group that it writes, and how it fares."""

    group: Group[Item] | None = None
    tries: int = 0
    deadline: float = 0.0


class GroupCommit(Generic[Item]):
    """One writer, on one event loop. `patience`: seconds for which a group is tried again where the database refuses
    it or is away. `atomic` False: `write` needs no transaction, each of its statements commits by itself (one statement
    then is one round trip instead of three). `lost` is told of a group that could not be committed.

    `enough`: a group that has fewer items stays open for as long as the one before took, at most LONGEST_HOLD. Where
    items come from those who waited for that one, they would otherwise fall into small groups that wait for each
    other's commits.

    `lanes`: so many groups may be written at once, each over a connection of its own, which it keeps for `linger`
    seconds after the last one. A further group begins when it has as many items as the smallest that is being written:
    before that, waiting for the others costs less than a group more.
    """

    def __init__(
        self,
        database: Database,
        write: Write[Item],
        *,
        patience: float = 0.0,
        enough: Callable[[], int] | None = None,
        atomic: bool = True,
        lost: Lost[Item] | None = None,
        lanes: int = 1,
        linger: float = 0.0,
    ) -> None:
        self._database = database
        self._write = write
        self._patience = patience
        self._enough = enough
        self._atomic = atomic
        self._lost = lost
        self._most = lanes
        self._linger = linger
        self._took = 0.0
        self._open: deque[Group[Item]] = deque()  # not begun; only the last one takes more
        self._lanes: list[_Lane[Item]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[bool]] = []  # lanes that keep their connection for what may come
        self._reserved = False  # the first open group, for a lane that comes for it
        self._wanted = 0
        self._full: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """How many items are in no transaction yet."""
        return sum(len(group.items) for group in self._open)

    def submit(self, item: Item) -> Group[Item]:
        """The group with which the item is committed, to be awaited: it may fail with DBAPIError, Unavailable, whatever
        the write raised. Groups begin in the order of submission."""
        if not self._open or len(self._open[-1].items) >= LARGEST_GROUP:
            self._open.append(Group())
        group = self._open[-1]
        group.items.append(item)
        if (self._idle or len(self._lanes) < self._most) and self._reserve():
            self._call()
        elif self._full is not None and len(group.items) >= self._wanted and not self._full.done():
            self._full.set_result(None)
        return group

    async def close(self) -> None:
        """Return when everything submitted is committed or has failed."""
        self._linger = 0.0
        for idle in list(self._idle):
            self._dismiss(idle)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _reserve(self) -> bool:
        """Whether the first open group should begin; nobody else comes for it then."""
        if self._reserved or not self._open:
            return False
        written = [len(lane.group.items) for lane in self._lanes if lane.group is not None]
        self._reserved = not written or len(self._open[0].items) >= min(written)
        return self._reserved

    def _call(self) -> None:
        """A lane that is free comes for the group."""
        if self._idle:
            self._idle.pop().set_result(True)
            return
        lane: _Lane[Item] = _Lane()
        self._lanes.append(lane)
        task = asyncio.create_task(self._work_off(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, lane: _Lane[Item]) -> None:
        called = True
        while lane.group is not None or called or self._reserve():
            called = False
            [error] = await asyncio.gather(self._series(lane), return_exceptions=True)
            if error is None or lane.group is None:  # or the connection broke after its last group
                continue
            if self._once_more(lane, error):
                await asyncio.sleep(_PAUSE if self._patience else 0)
            else:
                self._give_up(lane, error)
        self._lanes.remove(lane)

    async def _series(self, lane: _Lane[Item]) -> None:
        """Group after group over one connection, until nothing waits any more."""
        group = lane.group or await self._next_group(lane)
        async with self._database.connect(autocommit=not self._atomic) as conn:
            while True:
                begun = time.monotonic()
                lane.tries += 1
                await self._commit(conn, group.items)
                self._took = time.monotonic() - begun
                lane.group = None
                group.end(None)
                if not (self._reserve() or await self._rest()):
                    return
                group = await self._next_group(lane)

    async def _commit(self, conn: AsyncConnection, items: Sequence[Item]) -> None:
        if not self._atomic:
            await self._write(conn, items)
            return
        async with conn.begin():
            await self._write(conn, items)

    async def _rest(self) -> bool:
        """Whether this lane is called again soon."""
        if not self._linger:
            return False
        loop = asyncio.get_running_loop()
        called: asyncio.Future[bool] = loop.create_future()
        self._idle.append(called)
        alarm = loop.call_later(self._linger, self._dismiss, called)
        try:
            return await called
        finally:
            alarm.cancel()
            if called in self._idle:  # it was cancelled
                self._idle.remove(called)

    def _dismiss(self, idle: asyncio.Future[bool]) -> None:
        if idle in self._idle:
            self._idle.remove(idle)
            idle.set_result(False)

    async def _next_group(self, lane: _Lane[Item]) -> Group[Item]:
        """The one that is reserved, begun from now on."""
        if self._enough is not None and self._took:
            await self._hold(self._enough())
        self._reserved = False
        group = lane.group = self._open.popleft()
        lane.tries, lane.deadline = 0, time.monotonic() + self._patience
        return group

    async def _hold(self, enough: int) -> None:
        """Until there are so many, for a while at most."""
        if len(self._open[0].items) >= enough:
            return
        loop = asyncio.get_running_loop()
        full = self._full = loop.create_future()
        alarm = loop.call_later(min(self._took, LONGEST_HOLD), _settle, full)
        self._wanted = enough
        try:
            await full
        finally:
            alarm.cancel()
            self._full = None

    def _once_more(self, lane: _Lane[Item], error: BaseException) -> bool:
        locked_up = isinstance(error, DBAPIError) and isinstance(error.orig, DeadlockDetected)
        again = time.monotonic() < lane.deadline or (locked_up and lane.tries < _TRIES)
        return again and isinstance(error, DBAPIError | Unavailable)

    def _give_up(self, lane: _Lane[Item], error: BaseException) -> None:
        group, lane.group = lane.group, None
        assert group is not None
        said = error.orig if isinstance(error, DBAPIError) else error  # without the statement, of which there are many
        log.error("%s items lost their group commit (%s): %s", len(group.items), self._write.__qualname__, said)
        if self._lost is not None:
            self._lost(group.items, error)
        group.end(error)


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

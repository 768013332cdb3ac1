"""Facts as they come in, written by group commit; with the database away they wait in the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import Group, GroupCommit
from tracking.facts import Fact
from tracking.ingest import store

MOST_WAITING = 20_000  # beyond, a flood is refused instead of kept in memory

Kept = Callable[[BaseException | None], None]  # is told once the fact is kept, or what kept it from that


class Collector:
    """One a process, on its event loop."""

    def __init__(self, database: Database) -> None:
        self._commits = GroupCommit(database, _store)
        self._waiting: dict[Group[Fact], list[Kept]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, fact: Fact, kept: Kept) -> None:
        """Calls `kept` when the fact is committed. Raises Unavailable when too many wait already."""
        if self._commits.waiting >= MOST_WAITING:
            raise Unavailable("more opens and clicks arrive than can be written; try again in a moment")
        group = self._commits.submit(fact)
        waiting = self._waiting.get(group)
        if waiting is None:
            waiting = self._waiting[group] = []
            task = asyncio.create_task(self._see_through(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waiting.append(kept)

    async def record(self, fact: Fact) -> None:
        """Returns when the fact is committed. Raises what kept it from that (Unavailable, DBAPIError), and Unavailable
        when too many wait already."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def kept(error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.take(fact, kept)
        await done

    async def close(self) -> None:
        """Wait until all that was taken in is written."""
        await self._commits.close()
        await asyncio.gather(*self._tasks)

    async def _see_through(self, group: Group[Fact]) -> None:
        [error] = await asyncio.gather(_committed(group), return_exceptions=True)
        for kept in self._waiting.pop(group):
            kept(error)


async def _committed(group: Group[Fact]) -> None:
    await group


async def _store(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    await store(conn, facts, utc_now())

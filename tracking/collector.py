"""Facts as they come in, written by group commit."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import GroupCommit
from tracking.facts import Fact
from tracking.ingest import store

MOST_WAITING = 20_000  # beyond, a flood is refused instead of kept in memory


class Collector:
    """One a process, on its event loop."""

    def __init__(self, database: Database) -> None:
        self._commits = GroupCommit(database, _store)

    async def record(self, fact: Fact) -> None:
        """Returns when the fact is committed. Raises what kept it from that (Unavailable, DBAPIError), and Unavailable
        when too many wait already."""
        if self._commits.waiting >= MOST_WAITING:
            raise Unavailable("more opens and clicks arrive than can be written; try again in a moment")
        await self._commits.submit(fact)

    async def close(self) -> None:
        """Wait until all that was taken in is written."""
        await self._commits.close()


async def _store(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    await store(conn, facts, utc_now())

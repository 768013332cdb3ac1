"""Facts as they come in, written by group commit; while the database is away they wait in the spool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import Group, GroupCommit
from tracking.facts import Fact
from tracking.folds import SEEN_KINDS
from tracking.ingest import store
from tracking.rejudging import look_again
from tracking.seen import store_seen
from tracking.spool import Refused, Spool

log = logging.getLogger(__name__)

MOST_WAITING = 20_000  # beyond, a flood is refused instead of kept in memory
LANES = 2  # groups of opens and clicks that are written at once: while one waits for its commit, another is worked on
LINGER_SECONDS = 1.0
LOOK_SECONDS = 1.0  # between two tries to replay

Kept = Callable[[BaseException | None], None]  # is told once the fact is kept, or what kept it from that


class Collector:
    """One a process, on its event loop. Without a `spool` nothing is kept while the database is away.

    From the first fact that the database did not take until the spool is replayed, all facts go to the spool: so they
    come in their order, and nobody waits for a database that does not answer.
    """

    def __init__(self, database: Database, spool: Spool | None = None) -> None:
        self._database = database
        self._seen = GroupCommit(database, self._store_seen, atomic=False, lanes=LANES, linger=LINGER_SECONDS)
        self._said = GroupCommit(database, _store)
        self._groups: dict[Group[Fact], list[Kept]] = {}
        self._spool = spool
        self._away = False
        self._aside: list[tuple[Fact, Kept]] = []  # on their way to the spool
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Replay what an earlier process left in the spool, now and whenever there is some."""
        if self._spool is not None and self._watch is None:
            self._watch = asyncio.create_task(self._look_after(self._spool))

    def take(self, fact: Fact, kept: Kept) -> None:
        """Calls `kept` when the fact is committed or, with the database away, in the spool. Raises Unavailable when too
        many wait already."""
        if self._seen.waiting + self._said.waiting + len(self._aside) >= MOST_WAITING:
            raise Unavailable("more opens and clicks arrive than can be written; try again in a moment")
        if self._away:
            self._put_aside([(fact, kept)])
            return
        group = (self._seen if fact.kind in SEEN_KINDS else self._said).submit(fact)
        waiting = self._groups.get(group)
        if waiting is None:
            waiting = self._groups[group] = []
            self._begin(self._see_through(group))
        waiting.append(kept)

    async def record(self, fact: Fact) -> None:
        """Returns when the fact is kept. Raises what kept it from that (Unavailable, DBAPIError), and Unavailable when
        too many wait already."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def kept(error: BaseException | None) -> None:
            if done.done():  # it was cancelled
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.take(fact, kept)
        await done

    async def record_within(self, fact: Fact, seconds: float) -> bool:
        """As `record`, for what must not wait for a database that neither answers nor refuses: after `seconds` the fact
        stands in the spool besides, which changes nothing where it was written too. Whether it was kept before that."""
        recording = asyncio.create_task(self.record(fact))
        await asyncio.wait([recording], timeout=seconds)
        if recording.done() or self._spool is None:
            await recording
            return True
        recording.add_done_callback(_look_at)
        await self._spool.keep([fact])
        self.open()
        return False

    async def close(self) -> None:
        """Wait until all that was taken in is written."""
        await self._seen.close()
        await self._said.close()
        await asyncio.gather(*self._tasks)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._spool is not None:
            await self._spool.close()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, group: Group[Fact]) -> None:
        [error] = await asyncio.gather(_committed(group), return_exceptions=True)
        waiting = self._groups.pop(group)
        if error is not None and self._spool is not None and _away(error):
            self._away = True
            self.open()
            self._put_aside(list(zip(group.items, waiting, strict=True)))
            return
        for kept in waiting:
            kept(error)

    async def _store_seen(self, conn: AsyncConnection, facts: Sequence[Fact]) -> None:
        """By one statement, which commits them; a second look comes after that, and may fail without them."""
        if await store_seen(conn, facts):
            try:
                async with self._database.begin() as own:
                    await look_again(own)
            except (Unavailable, DBAPIError) as error:
                log.warning("clicks will be looked at again later: %s", error)

    def _put_aside(self, facts: Sequence[tuple[Fact, Kept]]) -> None:
        first = not self._aside
        self._aside += facts
        if first:
            self._begin(self._write_aside())

    async def _write_aside(self) -> None:
        """Those that come while others are written share the next write."""
        assert self._spool is not None
        while self._aside:
            taken = self._aside[:]
            try:
                await self._spool.keep([fact for fact, _ in taken])
                error = None
            except Unavailable as refused:
                log.error("%s", refused)
                error = refused
            del self._aside[: len(taken)]
            for _, kept in taken:
                kept(error)

    async def _look_after(self, spool: Spool) -> None:
        while True:
            if self._away or spool.anything():
                await self._replay(spool)
            await asyncio.sleep(LOOK_SECONDS)

    async def _replay(self, spool: Spool) -> None:
        """Until nothing waits any more, or the database is still away."""
        try:
            while count := await spool.replay(self._write):
                log.info("%s opens and clicks that waited for the database are written", count)
        except (Unavailable, DBAPIError) as error:
            log.warning("opens and clicks wait in the spool: %s", error)
            return
        except OSError as error:
            log.error("HEARTH_DATA_DIR: the spool cannot be read: %s", error)
            return
        if not self._aside:
            self._away = False

    async def _write(self, facts: Sequence[Fact]) -> None:
        try:
            async with self._database.begin() as conn:
                await _store(conn, facts)
        except DBAPIError as error:
            if _away(error):
                raise
            raise Refused(str(error.orig)) from error


async def _committed(group: Group[Fact]) -> None:
    await group


def _look_at(recording: asyncio.Task[None]) -> None:
    """Of what stands in the spool it does not matter what kept it from the database."""
    if not recording.cancelled() and (error := recording.exception()) is not None:
        log.warning("a fact that also waits in the spool was not written: %s", error)


def _away(error: BaseException) -> bool:
    """Whether the database cannot, rather than will not."""
    return isinstance(error, Unavailable) or (
        isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.OperationalError)
    )


async def _store(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    await store(conn, facts, utc_now())

"""One poller a process, however many watch, and none while nobody does.

Each turn is one short transaction: the states of campaigns under way, and the tallies committed since the turn before.
Messages are scanned only to begin with and now and then after, one campaign a turn, so seldom that the scans take
at most a share of 1/RESTS of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.live.base import Base, count_runs
from campaigns.live.board import SPAN, Board
from campaigns.live.figures import Head, Picture, Warned
from campaigns.live.heads import heads, obstacles, paused, warned
from campaigns.states import RunState, State
from runtime.database import Database
from runtime.errors import NotFound, Unavailable
from tracking.tallies import Lately, lately, snapshot, tallies_since

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds
RESTS = 50  # a scan that took a second is not repeated for 50
SOONEST = 5.0  # seconds between two scans of one campaign
LONGEST = 10.0  # seconds from one turn to the next, however long they take
UNDER_WAY = frozenset({State.PREPARING, State.SENDING})
ALL: int = 0  # watches all that send, instead of the campaign of an id


@dataclass(frozen=True)
class _Counted:
    """A look at the messages of a campaign's runs; `took` seconds, until `at` (monotonic)."""

    head: Head
    base: Base
    lately: Lately | None
    took: float
    at: float


@dataclass
class _Watched:
    """A campaign's board, and how its last base came about."""

    board: Board
    counted: _Counted

    def due(self, head: Head, clock: float) -> bool:
        """Whether it must be counted again: its runs moved, or they go on and enough time has passed."""
        if _states(head) != _states(self.counted.head):
            return True
        alive = any(run.state in (RunState.PREPARING, RunState.SENDING) for run in head.runs)
        return alive and clock - self.counted.at > max(SOONEST, RESTS * self.counted.took)


@dataclass(frozen=True)
class Glance:
    """All that sends now, the latest first, and how many are paused. One without a picture is being counted. `warned`:
    what stopped by itself, or may."""

    heads: Sequence[Head] = ()
    pictures: Mapping[int, Picture] = field(default_factory=dict)
    paused: int = 0
    warned: Sequence[Warned] = ()

    @property
    def rate(self) -> float | None:
        """Messages a second of all together."""
        rates = [self.pictures[head.id].rate for head in self.heads if head.id in self.pictures]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None


class Watcher:
    """`watching` says what is asked for, `changed` waits for news, `picture` and `glance` tell them."""

    def __init__(self, database: Database) -> None:
        self.version = 0
        self._database = database
        self._wanted: Counter[int] = Counter()
        self._watched: dict[int, _Watched] = {}
        self._pictures: dict[int, Picture] = {}
        self._asked: frozenset[int] = frozenset()
        self._heads: dict[int, Head] = {}
        self._paused = 0
        self._warned: Sequence[Warned] = ()
        self._seen: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()

    @contextmanager
    def watching(self, campaign_id: int) -> Iterator[None]:
        """Somebody looks at this campaign (or ALL) for the duration of the block."""
        self._wanted[campaign_id] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            self._wanted[campaign_id] -= 1
            self._wanted = +self._wanted

    async def changed(self, after: int) -> int:
        """Wait for a version later than `after`."""
        async with self._news:
            await self._news.wait_for(lambda: self.version > after)
        return self.version

    def picture(self, campaign_id: int) -> Picture | None:
        """As of the last turn; None before the first."""
        return self._pictures.get(campaign_id)

    def gone(self, campaign_id: int) -> bool:
        """Whether the last turn asked for it and did not find it. One that it found may still wait to be counted."""
        return campaign_id in self._asked and campaign_id not in self._heads

    def watched(self, campaign_id: int) -> bool:
        """Whether somebody looks at it."""
        return self._wanted[campaign_id] > 0

    def glance(self) -> Glance:
        found = [head for head in self._heads.values() if head.state in UNDER_WAY]
        return Glance(found, self._pictures, self._paused, self._warned)

    async def close(self) -> None:
        """End the polling."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _poll(self) -> None:
        try:
            while self._wanted:
                began = time.monotonic()
                try:
                    await self._turn_or_wait()
                    pause = rest(time.monotonic() - began)
                except Exception:  # whatever it is, those who watch have more of the next turn than of none
                    log.exception("what is being sent cannot be counted; it is counted anew in %.0f s", LONGEST)
                    self._watched, self._seen, pause = {}, None, LONGEST  # half a turn may have been taken in
                await asyncio.sleep(pause)
        finally:
            self._watched, self._pictures, self._heads, self._asked, self._seen = {}, {}, {}, frozenset(), None

    async def _turn_or_wait(self) -> None:
        try:
            async with self._database.one_snapshot() as conn:
                await self._turn(conn)
        except (OperationalError, InterfaceError, Unavailable) as error:
            log.warning("what is being sent cannot be counted, it stands still meanwhile: %s", error)
            return
        self.version += 1
        async with self._news:
            self._news.notify_all()

    async def _turn(self, conn: AsyncConnection) -> None:
        """All is asked before anything is taken in: after a turn that failed the next begins where it did."""
        now, seen = await _now(conn), await snapshot(conn)
        asked = frozenset(self._wanted)
        found = await heads(conn, asked, under_way=ALL in asked)
        stopped, alarms = (await paused(conn), await warned(conn, now)) if ALL in asked else (0, [])
        boards = {run.id: one.board for one in self._watched.values() for run in one.counted.head.runs}
        tallies = await tallies_since(conn, self._seen, list(boards)) if self._seen and boards else []
        hindered = await obstacles(conn, [run.id for head in found.values() for run in head.runs], now)
        head = self._next(found)
        counted = await _count(conn, head, now, history=head.id not in self._watched) if head else None
        for tally in tallies:
            boards[tally.run_id].add([tally])
        self._take(found, counted)
        self._seen, self._asked, self._heads = seen, asked, found
        self._paused, self._warned = stopped, alarms
        self._pictures = {
            campaign_id: watched.board.picture(found[campaign_id], now, hindered)
            for campaign_id, watched in self._watched.items()
        }

    def _next(self, found: Mapping[int, Head]) -> Head | None:
        """Whose messages are counted in this turn: one that nobody counted yet, else the one that waits longest."""
        clock = time.monotonic()
        new = (head for campaign_id, head in found.items() if campaign_id not in self._watched)
        waits = sorted(self._watched.values(), key=lambda one: one.counted.at)
        old = (head for one in waits if (head := found.get(one.counted.head.id)) and one.due(head, clock))
        return next(chain(new, old), None)

    def _take(self, found: Mapping[int, Head], counted: _Counted | None) -> None:
        self._watched = {campaign_id: one for campaign_id, one in self._watched.items() if campaign_id in found}
        if counted is not None:
            before = self._watched.get(counted.head.id)
            self._watched[counted.head.id] = _Watched(_taken(counted, before.board if before else Board()), counted)


def rest(took: float) -> float:
    """Seconds until the next turn, after one that took so many: asking takes at most a fifth of the time, unless the
    database is so slow that it would tell nothing any more."""
    return min(LONGEST, max(EVERY, 4 * took))


async def look(database: Database, campaign_id: int) -> Picture:
    """A picture for somebody who does not watch. Raises NotFound."""
    async with database.one_snapshot() as conn:
        now, found = await _now(conn), await heads(conn, [campaign_id], under_way=False)
        if campaign_id not in found:
            raise NotFound(f"there is no campaign {campaign_id}")
        counted = await _count(conn, found[campaign_id], now, history=True)
        hindered = await obstacles(conn, [run.id for run in counted.head.runs], now)
    return _taken(counted, Board()).picture(counted.head, now, hindered)


async def _now(conn: AsyncConnection) -> datetime:
    found: datetime = (await conn.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return found


async def _count(conn: AsyncConnection, head: Head, now: datetime, *, history: bool) -> _Counted:
    began, run_ids = time.monotonic(), [run.id for run in head.runs]
    base = await count_runs(conn, run_ids, now)
    seen = await lately(conn, run_ids, now - SPAN) if history else None
    ended = time.monotonic()
    return _Counted(head, base, seen, ended - began, ended)


def _taken(counted: _Counted, board: Board) -> Board:
    board.rebase(counted.base)
    if counted.lately is not None:
        board.remember(counted.lately)
    return board


def _states(head: Head) -> list[tuple[int, RunState]]:
    return [(run.id, run.state) for run in head.runs]

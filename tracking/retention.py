"""Events older than some months leave the database, into files or for good; reports, counts and old links stay right.

A month is put away some people at a time (`tracking.leaving`), each in a transaction with its piece of the file, then
its table is dropped. Whoever is killed within leaves a month that is part here, part there, and counted right; the next
run goes on with it. Putting away again what has been put away does nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Conflict, Unavailable
from runtime.settings import LEAST_EVENTS_MONTHS
from tracking import archive_files
from tracking.leaving import BATCH, leaving_count, take_out
from tracking.partitions import DEFAULT, PAST, close_up, month_of, months_made, name_of, put_together

_LOCK = 0x7265_7469  # any number, the same in every process
_LOCK_WAIT = "1s"  # whoever writes events queues up behind us meanwhile
_LOCK_TRIES = 60
_NOBODY = -1
PAST_MONTHS = "past"

Told = Callable[["PutAway"], None]
Going = Callable[[], bool]


@dataclass(frozen=True)
class PutAway:
    """`events` of a month ("2026-11"; "past": what had stayed or came late) that left, or would; `file`: where to."""

    month: str
    events: int
    file: Path | None = None


def horizon(now: datetime, months: int) -> datetime:
    """Where what is kept begins: the present month and `months` before it. Raises Conflict for too few."""
    if months < LEAST_EVENTS_MONTHS:
        raise Conflict(
            f"{months} months of events are too few: send times are learnt from a year; at least {LEAST_EVENTS_MONTHS}"
        )
    return month_of(now, -months)


async def would_leave(conn: AsyncConnection, before: datetime) -> list[PutAway]:
    """What `put_away` would do now."""
    months = [month for month in await months_made(conn) if month < before]
    found = [PutAway(f"{month:%Y-%m}", await leaving_count(conn, name_of(month), before)) for month in months]
    outside = [await leaving_count(conn, table, before) for table in await _outside(conn)]
    return [*found, *([PutAway(PAST_MONTHS, sum(outside))] if any(outside) else [])]


async def put_away(
    database: Database,
    before: datetime,
    folder: Path | None,
    told: Told = lambda _: None,
    going: Going = lambda: True,
    batch: int = BATCH,
) -> list[PutAway]:
    """Let what happened before the month `before` leave: into files in `folder`, None: for good. Each month is `told`
    when it is through; the run ends early, at a good place, once it is not `going` on. Raises Conflict while another
    run is under way, or where the files cannot be written."""
    done: list[PutAway] = []
    async with _alone(database):
        async with database.connect() as conn:
            months = [month for month in await months_made(conn) if month < before]
        for month in months:
            done.append(await _empty(database, f"{month:%Y-%m}", name_of(month), before, folder, going, batch))
            if not going():
                return done
            await close_up(database, month)
            await _put_together(database, month_of(month, 1))
            told(done[-1])
        await _put_together(database, before)
        async with database.connect() as conn:
            past = PAST in await _outside(conn)
        if past:
            rest = await _empty(database, PAST_MONTHS, PAST, before, folder, going, batch)
            if rest.events:
                done.append(rest)
                told(rest)
    return done


async def _empty(
    database: Database, month: str, table: str, before: datetime, folder: Path | None, going: Going, batch: int
) -> PutAway:
    """Take all that leaves out of a partition."""
    file, count, after = None, 0, _NOBODY
    if folder is not None:
        async with database.connect() as conn:
            file = await archive_files.go_on(conn, folder, month)
    while going():
        async with database.begin() as conn:
            left = await take_out(conn, table, before, after, batch)
            if file is not None and left.events:
                file = await archive_files.add(conn, file, month)
            if left.until is None and file is not None:
                await archive_files.finish(conn, file, utc_now())
        count += left.events
        if left.until is None:
            break
        after = left.until
    return PutAway(month, count, file.path if file is not None and file.events else None)


async def _put_together(database: Database, until: datetime) -> None:
    """Raises Unavailable where others read events without a pause."""
    for _ in range(_LOCK_TRIES):
        try:
            async with database.begin() as conn:
                await conn.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
                await put_together(conn, until)
            return
        except DBAPIError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
        await asyncio.sleep(1)
    raise Unavailable("the events are in use without a pause; run this again later, it goes on where it stopped")


async def _outside(conn: AsyncConnection) -> Sequence[str]:
    """The tables of no month that there are."""
    names = text("SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NOT NULL")
    return list((await conn.execute(names, {"names": [PAST, DEFAULT]})).scalars())


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    async with database.connect(autocommit=True) as conn:
        if not await conn.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
            raise Conflict("another process is putting events away already")
        try:
            yield
        finally:
            await conn.scalar(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})

"""An import: batch by batch into the records, each batch in a transaction of its own, with an account of every line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.imports.cells import Grid, open_grid
from customers.imports.guess import guess_mapping
from customers.imports.mapping import FileMapping, Plan, fit
from customers.imports.source import Source
from customers.imports.units import Refusal, Unit, batches, read_units, refuse
from customers.results import Reject
from customers.upsert import upsert
from customers.values import Context
from runtime.database import Database
from runtime.settings import Settings

_TRIES = 5
_ITEM = re.compile(r"items\[(\d+)\]\.?")


@dataclass(frozen=True)
class Progress:
    """rows = accepted + rejected, in lines; created, updated, unchanged in records. `units`: how many of the file's
    records (and refused lines) are dealt with, for going on; `place` of `size`: bytes read."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    units: int = 0
    place: int = 0
    size: int = 0


class Account:
    """Who wants to know how an import goes; each method may be left as it is."""

    async def opened(self, header: Sequence[str]) -> None:
        """The file is a table with these columns."""

    async def reading(self, progress: Progress) -> None:
        """About once a second, while the file is read and nothing is written."""

    async def record(self, conn: AsyncConnection, progress: Progress, refusals: Sequence[Refusal]) -> None:
        """Within the transaction of a batch; it may be tried again."""

    async def committed(self, progress: Progress, refusals: Sequence[Refusal]) -> None:
        """After the transaction of a batch."""


@dataclass(frozen=True)
class Job:
    """What to import. `mapping` None: guessed from the header. A dry run writes nothing: it holds each batch against
    what is stored, so that what an earlier batch of the file would make counts as new again."""

    source: Source
    kind: str
    mapping: FileMapping | None = None
    dry_run: bool = False


async def import_file(
    database: Database,
    job: Job,
    account: Account,
    *,
    settings: Settings,
    now: datetime,
    start: Progress | None = None,
    stopping: asyncio.Event | None = None,
) -> Progress:
    """Take a whole file in; where `stopping` is set, up to the batch at hand. `start`: go on from there.

    Raises Invalid where the file cannot be read at all or the mapping does not fit it, TooLarge for a bomb.
    """
    progress = start or Progress()
    reader = _Reader(job, Context(settings.zone, settings.country), progress.units)
    try:
        plan = await asyncio.to_thread(reader.open)
        progress = replace(progress, size=job.source.size)
        await account.opened(reader.grid.header)
        while not (stopping and stopping.is_set()):
            batch = await _next_batch(reader, progress, account)
            if batch is None:
                return replace(progress, place=progress.size)
            progress = replace(progress, place=reader.place)
            progress = await _take_in(database, job, plan, batch, progress, account, settings=settings, now=now)
        return progress
    finally:
        await asyncio.to_thread(reader.close)


class _Reader:
    """The blocking half, for a thread: from bytes to batches of units."""

    def __init__(self, job: Job, context: Context, skip: int) -> None:
        self._job = job
        self._context = context
        self._skip = skip
        self._stack = ExitStack()
        self._batches: Iterator[list[Unit]] = iter(())
        self.grid: Grid

    @property
    def place(self) -> int:
        return self.grid.place

    def open(self) -> Plan:
        mapping = self._job.mapping
        encoding, delimiter = (mapping.encoding, mapping.delimiter) if mapping else (None, None)
        self.grid = self._stack.enter_context(open_grid(self._job.source, encoding=encoding, delimiter=delimiter))
        plan = fit(mapping or guess_mapping(self._job.kind, self.grid.header), self.grid.header, self._context)
        units = read_units(self.grid, plan)
        self._stack.callback(units.close)
        self._batches = batches(units, self._skip)
        return plan

    def next(self) -> list[Unit] | None:
        return next(self._batches, None)

    def close(self) -> None:
        self._stack.close()


async def _next_batch(reader: _Reader, progress: Progress, account: Account) -> list[Unit] | None:
    """The next batch; meanwhile, word of how far the reading is."""
    reading = asyncio.create_task(asyncio.to_thread(reader.next))
    while True:
        done, _ = await asyncio.wait({reading}, timeout=1.0)
        if done:
            return reading.result()
        await account.reading(replace(progress, place=reader.place))


async def _take_in(
    database: Database,
    job: Job,
    plan: Plan,
    batch: Sequence[Unit],
    before: Progress,
    account: Account,
    *,
    settings: Settings,
    now: datetime,
) -> Progress:
    """One batch in one transaction, tried again where another one stood in the way."""
    for tries_left in reversed(range(_TRIES)):
        opened = database.connect() if job.dry_run else database.begin()
        try:
            async with opened as conn:
                done, refusals = await _apply(conn, plan, batch, settings=settings, now=now)
                progress = _sum(before, done)
                if job.dry_run:
                    await conn.rollback()
                await account.record(conn, progress, refusals)
                if job.dry_run:
                    await conn.commit()
            break
        except DBAPIError as error:
            if not tries_left or not isinstance(error.orig, (DeadlockDetected, SerializationFailure)):
                raise
    await account.committed(progress, refusals)
    return progress


async def _apply(
    conn: AsyncConnection, plan: Plan, batch: Sequence[Unit], *, settings: Settings, now: datetime
) -> tuple[Progress, list[Refusal]]:
    records = [unit for unit in batch if unit.record is not None]
    result = await upsert(conn, plan.kind, [unit.record for unit in records], settings=settings, now=now)
    refusals = [refusal for unit in batch for refusal in unit.refusals]
    for reject in result.rejected:
        refusals += _explain(records[reject.index], reject, plan)
    rows = sum(len(unit.lines) for unit in batch)
    done = Progress(
        rows=rows,
        accepted=rows - len(refusals),
        rejected=len(refusals),
        created=result.created,
        updated=result.updated,
        unchanged=result.unchanged,
        units=len(batch),
    )
    return done, sorted(refusals, key=lambda refusal: refusal.line)


def _explain(unit: Unit, reject: Reject, plan: Plan) -> list[Refusal]:
    """Lay a refused record to the line and column of its first problem."""
    path = reject.problems[0].path
    item = _ITEM.match(path)
    culprit = unit.lines[int(item[1])] if item else unit.lines[0]
    target = _ITEM.sub("items.", path)
    column = plan.columns_of.get(target)
    if column is None:
        parts = (name for each, name in plan.columns_of.items() if target and each.startswith(f"{target}."))
        column = next(parts, None)
    if len(reject.problems) == 1:
        reason = reject.problems[0].message
    else:
        reason = "; ".join(str(problem) for problem in reject.problems)
    return refuse(unit.lines, culprit, column, reason)


def _sum(before: Progress, done: Progress) -> Progress:
    return replace(
        before,
        rows=before.rows + done.rows,
        accepted=before.accepted + done.accepted,
        rejected=before.rejected + done.rejected,
        created=before.created + done.created,
        updated=before.updated + done.updated,
        unchanged=before.unchanged + done.unchanged,
        units=before.units + done.units,
    )

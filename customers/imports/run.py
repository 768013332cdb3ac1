"""An import: batch by batch into the records, each batch in a transaction of its own, with an account of every line."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.errors import DeadlockDetected, SerializationFailure
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds
from customers.imports.batches import Batch, Reader, Task, plan_of
from customers.imports.cells import Row
from customers.imports.child import RemoteReader
from customers.imports.mapping import FileMapping, Plan
from customers.imports.shape import shape_of
from customers.imports.source import Source
from customers.imports.taking import Taken, lines_of, take_draft
from customers.imports.tidying import is_growing, tidy_after, tidy_young
from customers.imports.units import Refusal, Unit, refuse, unit_of
from customers.results import Reject
from customers.upsert import upsert
from customers.values import Context
from runtime.database import Database, commit_at_leisure, go_uncounted, settle_on_disk
from runtime.errors import HearthError
from runtime.memory import give_back_large
from runtime.settings import Settings

_TRIES = 5
_SLICE = 1000  # records that go the careful way at once
_OWN_PROCESS = 1 << 20  # bytes of a file for which another process is worth its start
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
    give_back_large()
    progress = start or Progress()
    context = Context(settings.zone, settings.country)
    async with database.connect() as conn:
        kinds = await attribute_kinds(conn)
        await conn.rollback()  # it only asked
        task = Task(job.source, job.kind, job.mapping, context, progress.units, kinds, now.isoformat())
        reading = _Reading(task, account)
        try:
            header = await reading.open(progress)
            progress = replace(progress, size=job.source.size)
            await account.opened(header)
            plan = plan_of(job.kind, job.mapping, header, context)
            writing = _Writing(database, conn, plan, account, settings, now, job)
            while not (stopping and stopping.is_set()):
                batch = await reading.next(progress)
                if batch is None:
                    progress = replace(progress, place=progress.size)
                    break
                progress = await writing.take_in(batch, replace(progress, place=batch.place))
            await settle_on_disk(database)
            return progress
        except HearthError:  # about the rest of the file; what came before stays
            await tidy_after(database, job, progress)
            raise
        finally:
            await reading.close()


class _Reading:
    """Batches, each read while the one before it is written; about once a second, word of how far it is."""

    def __init__(self, task: Task, account: Account) -> None:
        self._reader = Reader(task) if task.source.size < _OWN_PROCESS else RemoteReader(task)
        self._account = account
        self._work: asyncio.Task[Any] | None = None

    async def open(self, progress: Progress) -> list[str]:
        self._begin(self._reader.open)
        header: list[str] = await self._waited(progress)
        self._begin(self._reader.next)
        return header

    async def next(self, progress: Progress) -> Batch | None:
        batch: Batch | None = await self._waited(progress)
        if batch is not None:
            self._begin(self._reader.next)
        return batch

    async def close(self) -> None:
        self._reader.abandon()
        if self._work is not None:
            await asyncio.wait({self._work})
            self._work.exception()  # nobody asks any more
        await asyncio.to_thread(self._reader.close)

    def _begin(self, step: Callable[[], Any]) -> None:
        self._work = asyncio.create_task(asyncio.to_thread(step))

    async def _waited(self, progress: Progress) -> Any:
        assert self._work is not None
        while True:
            done, _ = await asyncio.wait({self._work}, timeout=1.0)
            if done:
                return self._work.result()
            await self._account.reading(replace(progress, place=max(progress.place, self._reader.place)))


@dataclass(frozen=True)
class _Writing:
    database: Database
    conn: AsyncConnection
    plan: Plan
    account: Account
    settings: Settings
    now: datetime
    job: Job

    async def take_in(self, batch: Batch, before: Progress) -> Progress:
        """One batch in one transaction, tried again where another one stood in the way."""
        dry_run, growing = self.job.dry_run, is_growing(self.job, before)
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._transaction() as conn:
                    await commit_at_leisure(conn)
                    if growing:
                        await go_uncounted(conn)
                    done, refusals = await self._write(conn, batch)
                    progress = _sum(before, done)
                    if dry_run:
                        await conn.rollback()
                    await self.account.record(conn, progress, refusals)
                break
            except DBAPIError as error:
                if not tries_left or not isinstance(error.orig, (DeadlockDetected, SerializationFailure)):
                    raise
        await self.account.committed(progress, refusals)
        if is_growing(self.job, progress) and not growing:
            await tidy_young(self.database)
        return progress

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        """On the one connection of the import: to take one from the pool asks the database twice."""
        try:
            yield self.conn
            await self.conn.commit()
        finally:
            await self.conn.rollback()  # of what was not committed

    async def _write(self, conn: AsyncConnection, batch: Batch) -> tuple[Progress, list[Refusal]]:
        """First what was drafted, then the rest record by record, in the order of the file."""
        taken, groups = Taken(0, 0, 0, ()), batch.groups
        shape = shape_of(self.plan)
        if batch.draft is not None and shape is not None:
            taken = await take_draft(conn, shape, batch.draft)
            left = [[Row(line, cells)] for line, cells in lines_of(batch.draft, taken.left)]
            groups = sorted([*groups, *left], key=lambda rows: rows[0].line)
        done = Progress(created=taken.created, updated=taken.updated, unchanged=taken.unchanged)
        refusals = list(batch.refusals)
        for start in range(0, len(groups), _SLICE):
            units = [unit_of(rows, self.plan) for rows in groups[start : start + _SLICE]]
            done = _sum(done, await self._upsert(conn, units, refusals))
        account = {"rows": batch.rows, "accepted": batch.rows - len(refusals), "rejected": len(refusals)}
        return replace(done, **account, units=batch.units), sorted(refusals, key=lambda refusal: refusal.line)

    async def _upsert(self, conn: AsyncConnection, units: Sequence[Unit], refusals: list[Refusal]) -> Progress:
        """What was made of these units; those that are refused enter `refusals`."""
        sound = [unit for unit in units if unit.record is not None]
        records = [unit.record for unit in sound]
        result = await upsert(conn, self.plan.kind, records, settings=self.settings, now=self.now)
        refusals += [refusal for unit in units for refusal in unit.refusals]
        for reject in result.rejected:
            refusals += _explain(sound[reject.index], reject, self.plan)
        return Progress(created=result.created, updated=result.updated, unchanged=result.unchanged)


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

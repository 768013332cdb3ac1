"""Imports of uploaded files: a file waits in the database in pieces; a job takes it in and can go on after a crash."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import put_new
from customers.imports.mapping import read_mapping
from customers.imports.rejects import rejects_header, rejects_lines
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from customers.imports.targets import KINDS
from customers.imports.tidying import tidy_after
from customers.imports.units import Refusal
from customers.models import import_chunks, import_rejects, imports
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Conflict, HearthError, Invalid, NotFound, Problem, Unavailable
from runtime.house import House
from runtime.jobs import check_claim, defer, job
from runtime.scratch import scratch
from runtime.text import printable

_FOLDS = ("rows", "accepted", "rejected", "created", "updated", "unchanged", "units")
_PAGE = 5000
_REASON_LIMIT = 500


@dataclass(frozen=True)
class Import:
    """How an import stands. `state`: queued, running, done, failed (then `error` says why)."""

    id: int
    kind: str
    filename: str
    dry_run: bool
    state: str
    rows: int
    accepted: int
    rejected: int
    created: int
    updated: int
    unchanged: int
    bytes_total: int | None
    bytes_read: int
    error: str | None
    created_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


async def create_import(
    conn: AsyncConnection,
    *,
    kind: str,
    filename: str,
    mapping: Any = None,
    dry_run: bool = False,
    created_by: str | None = None,
) -> int:
    """A new import, whose file then comes by `append_chunk`; `enqueue_import` starts it. Raises Invalid for an unknown
    kind or a mapping (JSON as in API.md, None: guessed) that cannot be."""
    if kind not in KINDS:
        raise Invalid(Problem("kind", f"{kind!r} cannot be imported; known kinds: {', '.join(KINDS)}"))
    if mapping is not None and read_mapping(mapping, kind).kind != kind:
        raise Invalid(Problem("mapping.kind", f"is {mapping['kind']!r}, but the import is of {kind!r}"))
    row = {"kind": kind, "filename": filename, "mapping": mapping, "dry_run": dry_run, "created_by": created_by}
    return int(await conn.scalar(insert(imports).values(row).returning(imports.c.id)) or 0)


async def append_chunk(conn: AsyncConnection, import_id: int, position: int, data: bytes) -> None:
    """The next piece of the file; pieces are numbered from 0."""
    await conn.execute(insert(import_chunks).values(import_id=import_id, position=position, bytes=data))


async def enqueue_import(conn: AsyncConnection, import_id: int) -> None:
    """Let a worker run the import once this transaction commits. Raises NotFound, Conflict when it is under way."""
    found = await get_import(conn, import_id)
    if found.state != "queued":
        raise Conflict(f"import {import_id} is {found.state} already")
    total = select(func.coalesce(func.sum(func.length(import_chunks.c.bytes)), 0))
    size = total.where(import_chunks.c.import_id == import_id).scalar_subquery()
    await conn.execute(update(imports).where(imports.c.id == import_id).values(bytes_total=size))
    await defer(conn, run_import, import_id=import_id)


async def get_import(conn: AsyncConnection, import_id: int) -> Import:
    """How it stands. Raises NotFound."""
    found = (await conn.execute(_standing().where(imports.c.id == import_id))).first()
    if found is None:
        raise NotFound(f"there is no import {import_id}")
    return Import(*found)


async def list_imports(conn: AsyncConnection, *, before: int | None = None, limit: int = 50) -> list[Import]:
    """Imports, newest first; `before`: only those with a smaller id."""
    query = _standing().where(imports.c.kind.in_(KINDS)).order_by(imports.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(imports.c.id < before)
    return [Import(*row) for row in await conn.execute(query)]


async def list_rejects(conn: AsyncConnection, import_id: int, *, after: int = 0, limit: int = 100) -> list[Refusal]:
    """Refused lines in their order; `after` is how many of them to pass over."""
    row = import_rejects.c
    query = select(row.line, row.column, row.reason, row.cells).where(row.import_id == import_id)
    found = await conn.execute(query.order_by(row.line, row.id).offset(after).limit(limit))
    return [Refusal(*each) for each in found]


async def rejects_csv(conn: AsyncConnection, import_id: int, kinds: Collection[str] = ()) -> AsyncIterator[str]:
    """The refused lines (of these kinds alone), each with its reason, in pieces; formulas neutralised."""
    header = await conn.scalar(select(imports.c.header).where(imports.c.id == import_id))
    yield "\ufeff" + rejects_header(header or [])
    row = import_rejects.c
    query = select(row.id, row.line, row.column, row.reason, row.cells).where(row.import_id == import_id)
    wanted = query.where(row.kind.in_(kinds)) if kinds else query
    last = 0
    while page := (await conn.execute(wanted.where(row.id > last).order_by(row.id).limit(_PAGE))).all():
        yield rejects_lines(Refusal(*each[1:]) for each in page)
        last = page[-1].id


async def _give_up(house: House, error: Exception, *, import_id: int) -> None:
    """The job is not tried again: its import must not look as if it were."""
    reason = f"a fault in Hearth, not in the file; its log has more: {type(error).__name__}: {error}"
    await _end(house, import_id, "failed", printable(reason[:_REASON_LIMIT]))


@job("customers.run_import", retry=Backoff(5, timedelta(seconds=5)), given_up=_give_up)
async def run_import(house: House, *, import_id: int) -> None:
    """Take the file in from where it stands. What is wrong with the file ends as state `failed`."""
    async with house.database.begin() as conn:
        found = (await conn.execute(select(imports).where(imports.c.id == import_id))).mappings().first()
        if found is None or found["state"] in ("done", "failed"):
            return
        await check_claim(conn)
        began = {"state": "running", "started_at": func.coalesce(imports.c.started_at, utc_now())}
        await conn.execute(update(imports).where(imports.c.id == import_id).values(began))
    start = Progress(**{name: found[name] for name in _FOLDS})
    try:
        with scratch("upload") as folder:
            source = Source(folder / "file", found["filename"])
            await download_upload(house, import_id, source.path)
            mapping = None if found["mapping"] is None else read_mapping(found["mapping"], found["kind"])
            work = Job(source, found["kind"], mapping, found["dry_run"])
            account = _Stored(house, import_id)
            done = await import_file(
                house.database,
                work,
                account,
                settings=house.settings,
                now=utc_now(),
                start=start,
                stopping=house.stopping,
            )
    except (Conflict, Unavailable):  # another worker has it, or something is away: it will be tried again
        raise
    except HearthError as error:
        await _end(house, import_id, "failed", str(error))
        return
    if house.stopping.is_set():
        async with house.database.begin() as conn:
            await check_claim(conn)
            await defer(conn, run_import, import_id=import_id)
        return
    await tidy_after(house.database, work, done)
    await _end(house, import_id, "done", None, keep_file=work.dry_run)


class _Stored(Account):
    """Keeps the account in the tables, each batch's with the batch."""

    def __init__(self, house: House, import_id: int) -> None:
        self._house = house
        self._id = import_id

    async def opened(self, header: Sequence[str]) -> None:
        await self._update(header=list(header))

    async def reading(self, progress: Progress) -> None:
        await self._update(bytes_read=progress.place)

    async def record(self, conn: AsyncConnection, progress: Progress, refusals: Sequence[Refusal]) -> None:
        await check_claim(conn)
        await put_new(conn, import_rejects, [{"import_id": self._id, **_stored(refusal)} for refusal in refusals])
        told = {name: value for name, value in asdict(progress).items() if name in _FOLDS}
        changed = update(imports).where(imports.c.id == self._id).values(**told, bytes_read=progress.place)
        await conn.execute(changed)

    async def _update(self, **values: Any) -> None:
        async with self._house.database.begin() as conn:
            await conn.execute(update(imports).where(imports.c.id == self._id).values(values))


def _stored(refusal: Refusal) -> dict[str, Any]:
    return {
        "line": refusal.line,
        "column": refusal.column,
        "reason": refusal.reason,
        "cells": list(refusal.cells),
    }


def _standing() -> Any:
    """All but drafts (pending.py), which are not imports yet."""
    return select(*(imports.c[name] for name in Import.__dataclass_fields__)).where(imports.c.state != "draft")


async def download_upload(house: House, import_id: int, path: Path) -> None:
    """The uploaded file on this machine's disk, piece by piece."""
    async with house.database.connect() as conn:
        positions = select(import_chunks.c.position).where(import_chunks.c.import_id == import_id)
        with path.open("wb") as file:
            for position in (await conn.execute(positions.order_by(import_chunks.c.position))).scalars().all():
                piece = select(import_chunks.c.bytes).where(
                    import_chunks.c.import_id == import_id, import_chunks.c.position == position
                )
                file.write((await conn.execute(piece)).scalar_one())


async def _end(house: House, import_id: int, state: str, error: str | None, *, keep_file: bool = False) -> None:
    """The import's end; its file is not needed any more, and would outlive the erasure of those in it. That of a dry
    run may be taken in for good yet (pending.py), for a day."""
    async with house.database.begin() as conn:
        await check_claim(conn)
        ended = {"state": state, "error": error, "finished_at": utc_now(), "bytes_read": imports.c.bytes_total}
        if state == "failed":
            del ended["bytes_read"]
        await conn.execute(update(imports).where(imports.c.id == import_id).values(ended))
        if not keep_file:
            await conn.execute(delete(import_chunks).where(import_chunks.c.import_id == import_id))

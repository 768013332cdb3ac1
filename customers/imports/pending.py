"""Files that were uploaded and wait to be looked at: drafts of imports, whose first lines can be read at once.

    upload_id = await create_pending(conn, kind="customers", filename="people.csv", by="anna")
    await append_chunk(conn, upload_id, position, data)            # customers.imports.uploads, piece after piece
    await seal_pending(conn, upload_id)
    …                                                              # head.py: what the file looks like
    await confirm_import(conn, upload_id, kind="customers", mapping=mapping, dry_run=False)

A draft that nobody comes back to is forgotten after a day, with its file; so is the file of a dry run, which may be
taken in for good until then (`import_for_good`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.imports.mapping import read_mapping
from customers.imports.source import is_archive
from customers.imports.targets import KINDS
from customers.imports.uploads import enqueue_import
from customers.models import import_chunks, imports
from runtime.errors import Invalid, NotFound, Problem
from runtime.house import House
from runtime.leader import Term, check_term
from runtime.scheduler import tick

DRAFT = "draft"
KEPT = timedelta(days=1)
_HEAD = 4 * 1024 * 1024  # bytes of the file as uploaded


@dataclass(frozen=True)
class Pending:
    """A file that waits to be confirmed. `mapping`: one that came with it, as JSON."""

    id: int
    kind: str
    filename: str
    mapping: Any
    bytes_total: int
    created_by: str | None
    created_at: datetime


async def create_pending(
    conn: AsyncConnection, *, kind: str, filename: str, mapping: Any = None, by: str | None = None
) -> int:
    """A draft whose file then comes by `append_chunk`, sealed by `seal_pending`. The kinds of other rooms are theirs to
    check. Raises Invalid for a mapping that cannot be."""
    if mapping is not None and kind in KINDS:
        read_mapping(mapping, kind)
    row = {"kind": kind, "filename": filename, "mapping": mapping, "created_by": by, "state": DRAFT, "bytes_total": 0}
    return int(await conn.scalar(insert(imports).values(row).returning(imports.c.id)) or 0)


async def seal_pending(conn: AsyncConnection, upload_id: int) -> None:
    """All pieces are there."""
    total = select(func.coalesce(func.sum(func.length(import_chunks.c.bytes)), 0))
    size = total.where(import_chunks.c.import_id == upload_id).scalar_subquery()
    await conn.execute(update(imports).where(imports.c.id == upload_id).values(bytes_total=size))


async def pending(conn: AsyncConnection, upload_id: int) -> Pending:
    """The draft of that id. Raises NotFound, for one that was confirmed or forgotten too."""
    found = (await conn.execute(_drafts().where(imports.c.id == upload_id))).first()
    if found is None:
        raise _gone(upload_id)
    return Pending(*found)


async def list_pending(conn: AsyncConnection, kinds: Collection[str]) -> list[Pending]:
    """The drafts of these kinds, newest first."""
    newest = _drafts().where(imports.c.kind.in_(kinds)).order_by(imports.c.id.desc()).limit(20)
    return [Pending(*row) for row in await conn.execute(newest)]


async def discard_pending(conn: AsyncConnection, upload_id: int) -> None:
    """Forget a draft with its file. Raises NotFound."""
    found = await pending(conn, upload_id)
    await conn.execute(delete(imports).where(imports.c.id == found.id))


async def confirm_import(conn: AsyncConnection, upload_id: int, *, kind: str, mapping: Any, dry_run: bool) -> None:
    """Let a worker take the file in as records of `kind`. Raises NotFound, Invalid as `create_import`."""
    if kind not in KINDS:
        raise Invalid(Problem("kind", f"{kind!r} cannot be imported; known kinds: {', '.join(KINDS)}"))
    read_mapping(mapping, kind)
    await take_pending(conn, upload_id, kind=kind, mapping=mapping, dry_run=dry_run)
    await enqueue_import(conn, upload_id)


async def is_file_kept(conn: AsyncConnection, import_id: int) -> bool:
    """Whether this is a dry run that went through and whose file is still there."""
    return bool(await conn.scalar(select(_rehearsed().where(imports.c.id == import_id).exists())))


async def import_for_good(conn: AsyncConnection, import_id: int, *, by: str | None) -> int:
    """Let a worker take in the file of a dry run, as it was read there: the id of the new import, to which the file now
    belongs. Raises NotFound where there is no such file (any more)."""
    again = _rehearsed("kind", "filename", "mapping").where(imports.c.id == import_id)
    found = (await conn.execute(again)).mappings().one_or_none()
    if found is None:
        raise _file_gone(import_id)
    made = await conn.scalar(insert(imports).values(**found, created_by=by).returning(imports.c.id))
    piece = import_chunks.c
    moved = update(import_chunks).where(piece.import_id == import_id).values(import_id=made)
    if (await conn.execute(moved)).rowcount == 0:  # another one was faster
        raise _file_gone(import_id)
    await enqueue_import(conn, int(made or 0))
    return int(made or 0)


async def take_pending(conn: AsyncConnection, upload_id: int, **kept: Any) -> None:
    """The draft is one no more, by this transaction alone. Raises NotFound, also where another one was faster."""
    draft = update(imports).where(imports.c.id == upload_id, imports.c.state == DRAFT)
    if (await conn.execute(draft.values(**kept, state="queued"))).rowcount == 0:
        raise _gone(upload_id)


async def download_head(conn: AsyncConnection, upload_id: int, path: Path) -> None:
    """The beginning of the file, as a file of its size with a hole in it; of an archive also the end, which says where
    things are in it."""
    piece = import_chunks.c
    sizes = select(piece.position, func.length(piece.bytes).label("size")).where(piece.import_id == upload_id)
    rows = (await conn.execute(sizes.order_by(piece.position))).all()
    starts: dict[int, int] = {}
    total = 0
    for row in rows:
        starts[row.position] = total
        total += row.size
    wanted = [position for position, start in starts.items() if start < _HEAD]
    with path.open("wb") as file:
        file.truncate(total)
        for position in wanted:
            await _write_piece(conn, upload_id, position, starts[position], file)
        if is_archive(path):
            for position in (position for position, start in starts.items() if start >= max(_HEAD, total - _HEAD)):
                await _write_piece(conn, upload_id, position, starts[position], file)


@tick(every=timedelta(hours=1))
async def forget_pending(house: House, term: Term, now: datetime) -> None:
    """Files that nobody came back to hold personal data: they go after a day."""
    old = _rehearsed("id").where(imports.c.finished_at < now - KEPT)
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await conn.execute(delete(imports).where(imports.c.state == DRAFT, imports.c.created_at < now - KEPT))
        await conn.execute(delete(import_chunks).where(import_chunks.c.import_id.in_(old)))


async def _write_piece(conn: AsyncConnection, upload_id: int, position: int, start: int, file: Any) -> None:
    piece = import_chunks.c
    data = select(piece.bytes).where(piece.import_id == upload_id, piece.position == position)
    file.seek(start)
    file.write((await conn.execute(data)).scalar_one())
    file.flush()


def _gone(upload_id: int) -> NotFound:
    return NotFound(f"there is no upload {upload_id} that waits; it was confirmed, or forgotten after a day")


def _file_gone(import_id: int) -> NotFound:
    return NotFound(f"the file of import {import_id} is not there any more; upload it again")


def _rehearsed(*names: str) -> Select[Any]:
    """Of dry runs that went through and whose files are still there."""
    has_file = select(import_chunks.c.position).where(import_chunks.c.import_id == imports.c.id).exists()
    return select(*(imports.c[name] for name in names)).where(imports.c.state == "done", imports.c.dry_run, has_file)


def _drafts() -> Select[Any]:
    return select(*(imports.c[name] for name in Pending.__dataclass_fields__)).where(imports.c.state == DRAFT)

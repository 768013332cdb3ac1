"""Files that events go to when they leave the database: written before their commit, in step with it.

Each transaction adds a piece (a gzip member of its own; such files are read as one) and notes the length: what stands
beyond it was never committed, and goes when the next run goes on with the file.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import driver
from runtime.errors import Conflict
from tracking.archive import give_codes, lines_of
from tracking.leaving import TABLE


@dataclass(frozen=True)
class ArchiveFile:
    """`size` in bytes and `events` as the database knows them."""

    path: Path
    size: int = 0
    events: int = 0


async def go_on(conn: AsyncConnection, folder: Path, month: str) -> ArchiveFile:
    """The file of a month that an earlier run left unfinished, else a fresh one. Raises Conflict where it cannot be
    written."""
    rows = await conn.execute(_UNFINISHED, {"month": month})
    unfinished = [ArchiveFile(Path(row.path), row.bytes, row.events) for row in rows]
    return await asyncio.to_thread(_chosen, folder, month, unfinished)


async def add(conn: AsyncConnection, file: ArchiveFile, month: str) -> ArchiveFile:
    """Add the events that leave in this transaction (`tracking.leaving`); they are on the disk when this returns, and
    part of the file once the transaction is committed. Raises Conflict."""
    await give_codes(conn, TABLE)
    raw = await driver(conn)
    async with raw.cursor() as cursor:
        async with cursor.copy(lines_of(TABLE, heading=not file.size)) as copy:
            lines = b"".join([bytes(piece) async for piece in copy])
        written = cursor.rowcount
    if not written:
        return file
    size = await asyncio.to_thread(_append, file, lines)
    grown = replace(file, size=size, events=file.events + written)
    await conn.execute(_NOTE, {"path": str(file.path), "month": month, "bytes": size, "events": grown.events})
    return grown


async def finish(conn: AsyncConnection, file: ArchiveFile, now: datetime) -> None:
    """Nothing is added to it any more."""
    await conn.execute(_FINISH, {"path": str(file.path), "now": now})


def _chosen(folder: Path, month: str, unfinished: Sequence[ArchiveFile]) -> ArchiveFile:
    for file in unfinished:
        if file.path.parent == folder and file.path.is_file() and file.path.stat().st_size >= file.size:
            return file
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return ArchiveFile(next(path for path in _names(folder, month) if not path.exists()))


def _append(file: ArchiveFile, lines: bytes) -> int:
    """Writes past the known end; how long the file is now."""
    with _told(file.path), file.path.open("r+b" if file.path.exists() else "x+b") as opened:
        opened.truncate(file.size)
        opened.seek(file.size)
        opened.write(gzip.compress(lines, compresslevel=6))
        opened.flush()
        os.fsync(opened.fileno())
        if not file.size:
            folder = os.open(file.path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return opened.tell()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the disk refuses is told with the place."""
    try:
        yield
    except OSError as error:
        raise Conflict(f"cannot write {path}: {error.strerror}") from error


def _names(folder: Path, month: str) -> Iterator[Path]:
    """`events-2026-11.csv.gz`, then with a number."""
    yield folder / f"events-{month}.csv.gz"
    yield from (folder / f"events-{month}-{number}.csv.gz" for number in count(2))


_UNFINISHED = text("SELECT path, bytes, events FROM archive_files WHERE month = :month AND finished_at IS NULL")
_NOTE = text("""
    INSERT INTO archive_files (path, month, bytes, events) VALUES (:path, :month, :bytes, :events)
    ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, events = excluded.events
""")
_FINISH = text("UPDATE archive_files SET finished_at = :now WHERE path = :path")

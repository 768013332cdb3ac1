"""Months of events as files: CSV with a heading, gzipped, as PostgreSQL itself writes and reads it (COPY)."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import driver
from runtime.errors import Conflict, NotFound
from tracking.partitions import DEFAULT, name_of


@dataclass(frozen=True)
class Month:
    """A partition of events; `name`: "2026-11", or "other" for what lies outside of all months. `rows` as the database
    estimates them."""

    name: str
    rows: int
    megabytes: float


async def months(conn: AsyncConnection) -> list[Month]:
    """All that there are, the oldest first."""
    return [Month(_said(row.name), max(0, row.rows), row.bytes / 1e6) for row in await conn.execute(_MONTHS)]


async def archive(conn: AsyncConnection, month: datetime, file: Path, now: datetime) -> int:
    """Write the events of a month of UTC that is over to `file`, which must not be there yet; how many. They stay in
    the database: counts are folds of them. Raises NotFound, Conflict."""
    table = name_of(month)
    if await conn.scalar(text("SELECT to_regclass(:name) IS NULL"), {"name": table}):
        raise NotFound(f"there are no events of {month:%Y-%m}; `hearth events months` lists what there is")
    if (month.year, month.month) >= (now.astimezone(UTC).year, now.astimezone(UTC).month):
        raise Conflict(f"{month:%Y-%m} is not over; its events still change")
    fresh = file.with_name(file.name + ".part")
    try:
        count = await _copy_out(conn, table, fresh)
        os.link(fresh, file)  # unlike a rename, never over another file
    except FileExistsError:
        raise Conflict(f"{file} is there already; choose another name") from None
    except OSError as error:
        raise Conflict(f"cannot write {file}: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return count


async def _copy_out(conn: AsyncConnection, table: str, file: Path) -> int:
    raw = await driver(conn)
    statement = sql.SQL("COPY (SELECT * FROM {} ORDER BY at) TO STDOUT (FORMAT csv, HEADER)")
    with file.open("wb") as plain:
        async with raw.cursor() as cursor:
            with gzip.open(plain, "wb", compresslevel=6) as packed:
                async with cursor.copy(statement.format(sql.Identifier(table))) as copy:
                    async for piece in copy:
                        packed.write(piece)
            count = cursor.rowcount
        plain.flush()
        os.fsync(plain.fileno())
    return count


def _said(table: str) -> str:
    return "other" if table == DEFAULT else table.removeprefix("events_y").replace("m", "-")


_MONTHS = text(f"""
    SELECT c.relname AS name, CAST(c.reltuples AS bigint) AS rows, pg_total_relation_size(c.oid) AS bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('events' AS regclass) ORDER BY c.relname = '{DEFAULT}', c.relname
""")  # noqa: S608 -- our own word

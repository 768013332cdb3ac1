"""Events as files: CSV with a heading, gzipped.

An archive holds nothing that outlives the person whom it is about, wherever it was copied to: a line names them by a
code that stands in the database alone (`archive_codes`) and goes when they are erased, and it has only the columns
below. What else an event says (user agent, a server's answer, what others told) and its key, which is made of such,
stay out.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import take_turn
from runtime.database import Database, driver
from runtime.errors import Conflict, NotFound
from tracking.partitions import DEFAULT, PAST, name_of

COLUMNS = (
    *("person", "at", "kind", "channel", "campaign_id", "run_id", "step", "link", "value", "machine"),
    *("machine_reason", "recorded_at"),
)
_OUTSIDE = {DEFAULT: "other", PAST: "past"}


@dataclass(frozen=True)
class Month:
    """A partition of events; `name`: "2026-11", "past" for what stayed of months that were put away, "other" for what
    lies outside of all. `rows` as the database estimates them."""

    name: str
    rows: int
    megabytes: float


async def months(conn: AsyncConnection) -> list[Month]:
    """All that there are, the oldest first."""
    return [Month(_said(row.name), max(0, row.rows), row.bytes / 1e6) for row in await conn.execute(_MONTHS)]


async def archive(database: Database, month: datetime, file: Path, now: datetime) -> int:
    """Write the events of a month of UTC that is over to `file`, which must not be there yet; how many. They stay in
    the database. Raises NotFound, Conflict."""
    if (month.year, month.month) >= (now.astimezone(UTC).year, now.astimezone(UTC).month):
        raise Conflict(f"{month:%Y-%m} is not over; its events still change")
    table, fresh = name_of(month), file.with_name(file.name + ".part")
    async with database.begin() as conn:
        if await conn.scalar(text("SELECT to_regclass(:name) IS NULL"), {"name": table}):
            raise NotFound(f"there are no events of {month:%Y-%m}; `hearth events months` lists what there is")
        await give_codes(conn, table)
    try:
        async with database.connect() as conn:
            count = await _copy_out(conn, table, fresh)
        os.link(fresh, file)  # unlike a rename, never over another file
    except FileExistsError:
        raise Conflict(f"{file} is there already; choose another name") from None
    except OSError as error:
        raise Conflict(f"cannot write {file}: {error.strerror}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return count


async def give_codes(conn: AsyncConnection, table: str) -> None:
    """Everybody of whom `table` tells has a code."""
    await take_turn(conn)  # nobody is erased meanwhile, and left with a code of nobody
    await conn.execute(text(_GIVE.format(table=table)))


def lines_of(table: str, *, heading: bool) -> sql.Composed:
    """The COPY that tells what archives hold of the events in `table`, in the order of their time."""
    statement = """
        COPY (
            SELECT c.code AS person, {columns} FROM {table} e
            CROSS JOIN LATERAL (
                SELECT code FROM archive_codes a WHERE a.customer_id = e.customer_id ORDER BY code LIMIT 1
            ) c
            ORDER BY e.at
        ) TO STDOUT (FORMAT csv, HEADER {heading})
    """
    columns = sql.SQL(", ").join(sql.Identifier("e", name) for name in COLUMNS[1:])
    heading_said = sql.SQL("true" if heading else "false")
    return sql.SQL(statement).format(columns=columns, table=sql.Identifier(table), heading=heading_said)


async def _copy_out(conn: AsyncConnection, table: str, file: Path) -> int:
    await conn.execute(text("SELECT 1"))  # SQLAlchemy begins lazily
    raw = await driver(conn)
    with file.open("wb") as plain:
        async with raw.cursor() as cursor:
            with gzip.open(plain, "wb", compresslevel=6) as packed:
                async with cursor.copy(lines_of(table, heading=True)) as copy:
                    async for piece in copy:
                        packed.write(piece)
            count = cursor.rowcount
        plain.flush()
        os.fsync(plain.fileno())
    return count


def _said(table: str) -> str:
    return _OUTSIDE.get(table) or table.removeprefix("events_y").replace("m", "-")


_MONTHS = text(f"""
    SELECT c.relname AS name, CAST(c.reltuples AS bigint) AS rows, pg_total_relation_size(c.oid) AS bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('events' AS regclass)
    ORDER BY c.relname <> '{PAST}', c.relname = '{DEFAULT}', c.relname
""")  # noqa: S608 -- our own words
_GIVE = """
    INSERT INTO archive_codes (customer_id)
    SELECT DISTINCT e.customer_id FROM {table} e JOIN customers c ON c.id = e.customer_id
    WHERE NOT EXISTS (SELECT FROM archive_codes a WHERE a.customer_id = e.customer_id)
"""

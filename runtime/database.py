"""The database: one metadata, one engine a process, Core statements on async connections."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from sqlalchemy import Column, MetaData, Text, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from runtime.errors import Unavailable

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# How a table would be spread over a cluster (Citus); `info=` of every table, checked by a test.
PERSON = {"spread": "person"}  # about one customer: primary key begins with customer_id
LOOKUP = {"spread": "lookup"}  # (kind, value) → customer_id
REFERENCE = {"spread": "reference"}  # set-up: small, on every node
LOCAL = {"spread": "local"}  # queue, schedule, sessions: on the coordinator


def folded_text(name: str, *, nullable: bool = True) -> tuple[Column[Any], Column[Any]]:
    """A text column and the column that holds its folded form (`runtime.text.fold`), by which it is compared."""
    return Column(name, Text, nullable=nullable), Column(f"{name}_folded", Text, nullable=nullable)


class Database:
    """One engine: `begin()` for a transaction, `connect()` for reading."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = async_url(url)
        self.engine: AsyncEngine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            connect_args={
                "prepare_threshold": 5,
                "connect_timeout": 10,
                "application_name": f"hearth {os.getpid()}",  # in pg_stat_activity: which process it is
            },
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction, committed at the end, rolled back on an error."""
        async with _reachable(), self.engine.begin() as conn:
            yield conn

    @asynccontextmanager
    async def connect(self, *, autocommit: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; what is not committed is rolled back. With `autocommit` every statement commits
        by itself."""
        async with _reachable(), self.engine.connect() as conn:
            if autocommit:
                await conn.execution_options(isolation_level="AUTOCOMMIT")
            yield conn

    @asynccontextmanager
    async def one_snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading on which all statements see the same."""
        async with self.connect() as conn:
            yield await conn.execution_options(isolation_level="REPEATABLE READ")

    async def close(self) -> None:
        await self.engine.dispose()


def async_url(url: str) -> str:
    """Any `postgres://` or `postgresql://` address as SQLAlchemy's, for psycopg 3."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def driver_url(url: str) -> str:
    """The same address for psycopg itself (libpq reads a `+` as a plus, where SQLAlchemy writes a space)."""
    rendered = make_url(async_url(url)).set(drivername="postgresql").render_as_string(hide_password=False)
    head, mark, query = rendered.partition("?")
    return head + mark + query.replace("+", "%20")


async def driver(conn: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection under `conn`, in the same transaction.

    A statement must have run on `conn` before: SQLAlchemy begins lazily; without it the commit commits nothing.
    """
    sync = conn.sync_connection
    if sync is not None and not (sync.closed or sync.invalidated):  # at hand; the other way costs 10 µs
        found = sync.connection.driver_connection
    else:
        found = (await conn.get_raw_connection()).driver_connection
    assert isinstance(found, psycopg.AsyncConnection)
    return found


async def run_straight(conn: AsyncConnection, statement: LiteralString, values: Mapping[str, Any]) -> list[Any]:
    """The rows of a statement in the driver's own form (`%(name)s`), past what SQLAlchemy does on the way (0.2 ms): for
    the few that run hundreds of times a second. In the transaction of `conn`; raises DBAPIError as that does."""
    if not conn.in_transaction():
        await conn.begin()
    raw = await driver(conn)
    try:
        async with raw.cursor() as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()
    except psycopg.Error as error:
        if raw.broken:
            await conn.invalidate(error)
        raise _as_sqlalchemy(conn, statement, error) from error


def _as_sqlalchemy(conn: AsyncConnection, statement: str, error: psycopg.Error) -> DBAPIError:
    lost = conn.invalidated
    found = DBAPIError.instance(
        statement, None, error, psycopg.Error, dialect=conn.dialect, connection_invalidated=lost
    )
    assert isinstance(found, DBAPIError)
    return found


async def copy_rows(conn: AsyncConnection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Bulk-load `rows` into `table` by COPY, in the transaction of `conn`."""
    raw = await driver(conn)
    names = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(column) for column in columns)
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(psycopg.sql.Identifier(table), names)
    async with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            await copy.write_row(row)


async def commit_at_leisure(conn: AsyncConnection) -> None:
    """The commit of this transaction does not wait for the disk. A crash of the server within the next second may take
    it back: as a whole, and with whatever came after it. For one of many; `settle_on_disk` ends the doubt."""
    await conn.execute(text("SET LOCAL synchronous_commit = off"))


async def settle_on_disk(database: Database) -> None:
    """Whatever was committed before is on the disk: the log is written in order, and this waits for its end."""
    async with database.begin() as conn:
        await conn.execute(text("SELECT pg_logical_emit_message(true, 'hearth', '')"))


async def go_uncounted(conn: AsyncConnection) -> None:
    """Autovacuum does not follow what this transaction changes, where the database lets us say so. For one of many that
    only add, and whose tables are vacuumed at their end (runtime/tidy.py)."""
    await conn.execute(_UNCOUNTED)


_UNCOUNTED = text("SELECT set_config('track_counts', 'off', true) WHERE has_parameter_privilege('track_counts', 'SET')")


@dataclass(frozen=True)
class Copied:
    """Rows for a table in COPY's own text format (UTF-8), each ending in a line feed, some in each piece; no columns:
    all of them."""

    table: str
    columns: Sequence[str]
    pieces: Iterable[bytes]


async def copy_text(conn: AsyncConnection, copied: Copied) -> None:
    """Bulk-load rows that are text already; each piece is asked for while the database takes the one before."""
    raw = await driver(conn)
    names = psycopg.sql.SQL(", ").join(psycopg.sql.Identifier(column) for column in copied.columns)
    listed = psycopg.sql.SQL("({})").format(names) if copied.columns else psycopg.sql.SQL("")
    statement = psycopg.sql.SQL("COPY {} {} FROM STDIN").format(psycopg.sql.Identifier(copied.table), listed)
    async with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copied.pieces:
            await copy.write(piece)


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("all connections to the database are in use; try again in a moment") from error
    except DBAPIError as error:
        refused = isinstance(error, OperationalError) and "connection" in str(error.orig)
        if error.connection_invalidated or refused:
            reason = str(error.orig).strip().splitlines()[0]
            raise Unavailable(f"the database does not answer: {reason}; see HEARTH_DATABASE_URL") from error
        raise

"""A bell that rings (PostgreSQL's NOTIFY) when a transaction commits that changed follow-ups, so that those who look at
them need not ask all the time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database, driver_url

CHANNEL = "hearth_follow_ups"


async def ring(conn: AsyncConnection) -> None:
    """Once the transaction of `conn` commits; several rings of one transaction are one."""
    await conn.execute(_RING)


@asynccontextmanager
async def hearing(database: Database) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection whose `notifies()` are the rings from now on. Raises psycopg.Error when the database is away."""
    raw = await psycopg.AsyncConnection.connect(driver_url(database.url), autocommit=True, connect_timeout=10)
    async with raw:
        await raw.execute(f"LISTEN {CHANNEL}")
        yield raw


_RING = text(f"SELECT pg_notify('{CHANNEL}', '')")

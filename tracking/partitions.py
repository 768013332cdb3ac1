"""Events live in a table a month, made ahead; what lies outside (old imports, wrong clocks) waits in the default one.

Called by every upgrade and once a day. Bounds are months of UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

MONTHS_BACK = 1
MONTHS_AHEAD = 3
DEFAULT = "events_default"
_LOCK = 0x6576_656E  # any number, the same in every process


async def make_ahead(conn: AsyncConnection, now: datetime) -> list[str]:
    """Make the months from the last to the third ahead that are missing; answers the names of those made."""
    return await conn.run_sync(make_partitions, now)


def make_partitions(connection: Connection, now: datetime) -> list[str]:
    """`make_ahead` for migrations, which hold a synchronous connection; nothing to do before `events` exists."""
    if not _exists(connection, "events"):
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if not _exists(connection, DEFAULT):
        connection.execute(text(f"CREATE TABLE {DEFAULT} PARTITION OF events DEFAULT"))
    months = [_month(now, offset) for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]
    return [_make(connection, month) for month in months if not _exists(connection, name_of(month))]


def name_of(month: datetime) -> str:
    """The partition that holds a month: `events_y2026m11`."""
    return f"events_y{month:%Y}m{month:%m}"


def _make(connection: Connection, month: datetime) -> str:
    """Fill a table of its own and attach it: less locking than PARTITION OF, and early comers leave the default."""
    name, until = name_of(month), _month(month, 1)
    bounds = {"low": month, "high": until}
    connection.execute(text(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"))
    moved = f"DELETE FROM {DEFAULT} WHERE at >= :low AND at < :high RETURNING *"  # noqa: S608 -- names are ours
    connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"), bounds)  # noqa: S608
    low, high = month.isoformat(), until.isoformat()
    connection.execute(text(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"))
    return name


def _month(instant: datetime, offset: int) -> datetime:
    """The first instant of the month `offset` months after that of `instant`."""
    here = instant.astimezone(UTC)
    years, month = divmod(here.month - 1 + offset, 12)
    return datetime(here.year + years, month + 1, 1, tzinfo=UTC)


def _exists(connection: Connection, table: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table}).scalar_one() is True

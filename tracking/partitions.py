"""Events live in a table a month, made ahead; what lies outside (wrong clocks) waits in the default one, what stays of
months that were put away (tracking/retention.py) lives in one before all others.

Called by every upgrade and once a day. Bounds are months of UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database

MONTHS_BACK = 1
MONTHS_AHEAD = 3
DEFAULT = "events_default"
PAST = "events_past"
_MONTH = re.compile(r"events_y(\d{4})m(\d\d)")
_LOCK = 0x6576_656E  # any number, the same in every process
_ALL_FROM = datetime(1, 1, 1, tzinfo=UTC)


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
    months = [month_of(now, offset) for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]
    return [_make(connection, month) for month in months if not _exists(connection, name_of(month))]


async def months_made(conn: AsyncConnection) -> list[datetime]:
    """The months that have a table, the oldest first."""
    names = (await conn.execute(_NAMES)).scalars()
    found = [_MONTH.fullmatch(name) for name in names]
    return sorted(datetime(int(each[1]), int(each[2]), 1, tzinfo=UTC) for each in found if each is not None)


async def close_up(database: Database, month: datetime) -> None:
    """Give back the room of what was taken out of a month, so that what is left is quickly moved; others go on
    meanwhile."""
    async with database.connect(autocommit=True) as conn:
        await conn.execute(text(f"VACUUM {name_of(month)}"))


async def put_together(conn: AsyncConnection, until: datetime) -> bool:
    """What is left of the months before `until` goes into the table of the past, and their own tables are dropped;
    whether there was anything to do. Whoever writes events waits meanwhile, so little should be left."""
    await conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    gone = [name_of(month) for month in await months_made(conn) if month < until]
    strays = f"SELECT EXISTS (SELECT FROM {DEFAULT} WHERE at < :until)"  # noqa: S608 -- names are ours
    if not gone and not await conn.scalar(text(strays), {"until": until}):
        return False
    await conn.execute(text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
    if await conn.scalar(text("SELECT to_regclass(:name) IS NULL"), {"name": PAST}):
        await conn.execute(text(f"CREATE TABLE {PAST} (LIKE events INCLUDING DEFAULTS)"))
    else:
        await conn.execute(text(f"ALTER TABLE events DETACH PARTITION {PAST}"))
    for name in gone:
        await conn.execute(text(f"ALTER TABLE events DETACH PARTITION {name}"))
        await conn.execute(text(f"INSERT INTO {PAST} SELECT * FROM {name}"))  # noqa: S608
        await conn.execute(text(f"DROP TABLE {name}"))
    await conn.run_sync(_move, PAST, _ALL_FROM, until)
    bounds = f"FROM (MINVALUE) TO ('{until.isoformat()}')"
    await conn.execute(text(f"ALTER TABLE events ATTACH PARTITION {PAST} FOR VALUES {bounds}"))
    return True


def name_of(month: datetime) -> str:
    """The partition that holds a month: `events_y2026m11`."""
    return f"events_y{month:%Y}m{month:%m}"


def month_of(instant: datetime, offset: int = 0) -> datetime:
    """The first instant of the month `offset` months after that of `instant`."""
    here = instant.astimezone(UTC)
    years, month = divmod(here.month - 1 + offset, 12)
    return datetime(here.year + years, month + 1, 1, tzinfo=UTC)


def _make(connection: Connection, month: datetime) -> str:
    """Fill a table of its own and attach it: less locking than PARTITION OF, and early comers leave the default."""
    name, until = name_of(month), month_of(month, 1)
    connection.execute(text(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)"))
    _move(connection, name, month, until)
    low, high = month.isoformat(), until.isoformat()
    connection.execute(text(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"))
    return name


def _move(connection: Connection, name: str, low: datetime, high: datetime) -> None:
    """What the default table holds of that time goes to the table `name`."""
    moved = f"DELETE FROM {DEFAULT} WHERE at >= :low AND at < :high RETURNING *"  # noqa: S608 -- names are ours
    statement = f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"  # noqa: S608
    connection.execute(text(statement), {"low": low, "high": high})


def _exists(connection: Connection, table: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table}).scalar_one() is True


_NAMES = text("""
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('events' AS regclass)
""")

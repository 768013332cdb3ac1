"""Each recipient's own clock: the customer's time zone, else the workspace's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import ColumnElement, TableValuedAlias, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.models import customers


def zone_name(default: str) -> ColumnElement[str]:
    """The name of a customer's zone, for a SELECT from `customers`."""
    return func.coalesce(customers.c.timezone, default)


@lru_cache(maxsize=1_000)
def zone_of(name: str, default: str) -> ZoneInfo:
    """The zone of that name; `default` for one that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(default)


async def zones_in_use(conn: AsyncConnection, default: str) -> list[str]:
    """The names of all customers' zones, `default` among them."""
    named = select(customers.c.timezone).where(customers.c.timezone.is_not(None)).distinct()
    return sorted({default, *(await conn.execute(named)).scalars()})


async def zones_of(conn: AsyncConnection, ids: Collection[int], default: str) -> dict[int, ZoneInfo]:
    """The zones of these customers."""
    named = select(customers.c.id, zone_name(default)).where(among(customers.c.id, ids))
    return {row[0]: zone_of(row[1], default) for row in await conn.execute(named)}


def instant_of(face: datetime, zone: ZoneInfo) -> datetime:
    """When the clock of `zone` shows `face`; where it skips that, the first instant after the gap."""
    first = face.replace(tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == face:
        return first
    # In a gap the first reading is by the offset before it: the gap's end is where the second reading would put us.
    second = face.replace(tzinfo=zone, fold=1).astimezone(UTC)
    low, high = min(first, second), max(first, second)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).replace(tzinfo=None) > face:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


def table_of(name: str, columns: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> TableValuedAlias:
    """Rows made here as something to SELECT from; `columns`: their types by name."""
    arrays = [literal([row[place] for row in rows], ARRAY(kind)) for place, kind in enumerate(columns.values())]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived()

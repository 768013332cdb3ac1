"""Growth and cohorts as pages show them: counted for who asks while there are few orders, and of many as they stood
some minutes ago, so that no page waits for a scan of all orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.growth import Cohort, Growth, Month, cohorts, growth
from customers.models import growth_figures, orders
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job

MANY = 20_000  # orders; so many are counted in some milliseconds
REST = timedelta(minutes=10)  # figures that are older are counted anew behind the page that shows them
OLDEST = timedelta(days=1)  # and these in front of it: nobody had asked for a long time


@dataclass(frozen=True)
class Base:
    """`kept`: whether it was counted before it was asked for."""

    counted_at: datetime
    kept: bool
    growth: Growth
    cohorts: Sequence[Cohort]


async def base(conn: AsyncConnection, *, days: int, now: datetime, timezone: str) -> Base:
    """Active: ordered within the last `days`. May queue a job and keep what it counts."""
    if not await _many(conn):
        return await _counted(conn, days, now, timezone)
    row = (await conn.execute(select(growth_figures).where(growth_figures.c.days == days))).one_or_none()
    if row is None or row.counted_at < now - OLDEST:
        return await keep(conn, days=days, now=now, timezone=timezone)
    if row.counted_at < now - REST:
        await defer(conn, count_growth, queueing_lock=f"growth {days}", days=days)
    return _read(row.counted_at, row.figures)


async def keep(conn: AsyncConnection, *, days: int, now: datetime, timezone: str) -> Base:
    """Count and keep."""
    found = await _counted(conn, days, now, timezone)
    figures = {"months": [*map(astuple, found.growth.months)], "cohorts": [*map(astuple, found.cohorts)]}
    values = {"counted_at": now, "figures": figures}
    statement = insert(growth_figures).values(days=days, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["days"], set_=values))
    return found


@job("customers.count_growth")
async def count_growth(house: House, *, days: int) -> None:
    async with house.database.begin() as conn:
        await keep(conn, days=days, now=utc_now(), timezone=house.settings.timezone)


async def _many(conn: AsyncConnection) -> bool:
    some = select(orders.c.customer_id).limit(MANY + 1).subquery()
    return int(await conn.scalar(select(func.count()).select_from(some)) or 0) > MANY


async def _counted(conn: AsyncConnection, days: int, now: datetime, timezone: str) -> Base:
    months = await growth(conn, now=now, timezone=timezone, days=days)
    return Base(now, False, months, await cohorts(conn, now=now, timezone=timezone))


def _read(counted_at: datetime, figures: Mapping[str, Any]) -> Base:
    months = [Month(*month) for month in figures["months"]]
    return Base(counted_at, True, Growth(months), [Cohort(*cohort) for cohort in figures["cohorts"]])

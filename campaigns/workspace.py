"""The dashboard's figures of the whole workspace, counted in the background each minute, so that no page waits for a
scan of all messages and orders. Where they are counted quickly they are counted for who asks.

Nothing of them can drift from the facts: each time they are counted whole, but never for more than a twentieth of the
time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import overview_figures
from campaigns.overview import Day, days
from customers.overview import Ages, Month, Totals, ages, months, totals
from runtime.clock import local_date, utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.registry import channel_kinds
from runtime.scheduler import tick

CHANNEL = "email"  # over which customers are reachable
LATELY = timedelta(days=30)
QUICK_MS = 50  # what took less is counted for who asks
REST = timedelta(seconds=50)  # less than a tick
SHARE = 20  # after having counted for a second nothing is counted for 20
OLDEST = timedelta(hours=1)  # older figures are shown to nobody: there is no worker that counts
_NAME = "workspace"


@dataclass(frozen=True)
class Overview:
    """`kept`: it was counted before it was asked for."""

    counted_at: datetime
    kept: bool
    totals: Totals
    months: Sequence[Month]
    ages: Sequence[Ages]
    days: Sequence[Day]


async def overview(conn: AsyncConnection, *, now: datetime, timezone: str) -> Overview:
    """As kept, where counting takes long, else as of now; may keep what it counts."""
    row = (await conn.execute(select(overview_figures))).one_or_none()
    if row is None or row.counted_at < now - OLDEST:
        return await keep(conn, now=now, timezone=timezone)
    if row.took_ms < QUICK_MS:
        return await count(conn, now=now, timezone=timezone)
    return _read(row.counted_at, row.figures)


async def large(conn: AsyncConnection) -> bool:
    """Whether counting the workspace took long the last time."""
    return (await conn.scalar(select(overview_figures.c.took_ms)) or 0) >= QUICK_MS


async def count(conn: AsyncConnection, *, now: datetime, timezone: str) -> Overview:
    """From the facts, as of now."""
    return Overview(
        counted_at=now,
        kept=False,
        totals=await totals(conn, since=now - LATELY, now=now, channel=channel_kinds()[CHANNEL]),
        months=await months(conn, now=now, timezone=timezone),
        ages=await ages(conn, today=local_date(now, timezone)),
        days=await days(conn, now=now, timezone=timezone),
    )


async def keep(conn: AsyncConnection, *, now: datetime, timezone: str) -> Overview:
    """Count and keep."""
    begun = time.monotonic()
    found = await count(conn, now=now, timezone=timezone)
    took = int((time.monotonic() - begun) * 1000)
    values = {"counted_at": now, "took_ms": took, "figures": _written(found)}
    statement = insert(overview_figures).values(name=_NAME, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))
    return found


async def due(conn: AsyncConnection, now: datetime) -> bool:
    """Whether it is time to count anew."""
    row = (await conn.execute(select(*overview_figures.c["counted_at", "took_ms"]))).one_or_none()
    return row is None or row.counted_at < now - max(REST, timedelta(milliseconds=row.took_ms) * SHARE)


async def forget(conn: AsyncConnection) -> None:
    """Let it be counted anew: for `hearth db recount`."""
    await conn.execute(delete(overview_figures))


@job("campaigns.count_overview")
async def count_overview(house: House) -> None:
    async with house.database.begin() as conn:
        await keep(conn, now=utc_now(), timezone=house.settings.timezone)


@tick(every=timedelta(minutes=1))
async def count_overview_in_time(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        if await due(conn, now):
            await defer(conn, count_overview, queueing_lock="overview")


def _written(found: Overview) -> dict[str, Any]:
    return {
        "totals": {**asdict(found.totals), "revenue": str(found.totals.revenue)},
        "months": [{**asdict(month), "revenue": str(month.revenue)} for month in found.months],
        "ages": [asdict(one) for one in found.ages],
        "days": [asdict(day) for day in found.days],
    }


def _read(counted_at: datetime, kept: Mapping[str, Any]) -> Overview:
    return Overview(
        counted_at,
        True,
        Totals(**{**kept["totals"], "revenue": Decimal(kept["totals"]["revenue"])}),
        [Month(**{**month, "revenue": Decimal(month["revenue"])}) for month in kept["months"]],
        [Ages(**one) for one in kept["ages"]],
        [Day(**day) for day in kept["days"]],
    )

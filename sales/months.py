"""What salespeople did in a month, counted from the facts; months that are over are kept.

A month is closed 31 days after its end, when every order that it may count has come. From then on its numbers stand:
households that change hands later, or records that are corrected, do not rewrite what was said of it. `measure` counts
any month anew from the same facts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from sales.facts import OWN, PARTS, RECORDS
from sales.matching import matches
from sales.models import closed_months
from sales.period import Period, period_of

AFTER = timedelta(days=31)
KEPT = 13  # months back that are closed by themselves


@dataclass(frozen=True)
class Count:
    """`counted` of `total` records count; `amount`: of those. `expected`: what matched households would have done,
    where there are enough of them; `actual` is what it is compared with."""

    counted: int = 0
    total: int = 0
    amount: Decimal | None = None
    actual: Decimal | None = None
    expected: Decimal | None = None


@dataclass(frozen=True)
class Measures:
    """Of one salesperson: `customers` of their own, and a Count for each part."""

    code: str
    customers: int
    counts: dict[str, Count]


async def month(conn: AsyncConnection, period: Period, now: datetime, *, lately: bool = False) -> dict[str, Measures]:
    """By salesperson's code: as kept where the month is closed, else counted. `lately`: some minutes ago will do, where
    it was counted then."""
    row = closed_months.c
    asked = select(row.salesperson, row.measures).where(row.period == period.name)
    if not lately:
        asked = asked.where(row.measured_at >= period.end + AFTER)
    found = {each.salesperson: _read(each.salesperson, each.measures) for each in await conn.execute(asked)}
    return found or await measure(conn, period, now)


async def measure(conn: AsyncConnection, period: Period, now: datetime) -> dict[str, Measures]:
    """The month counted from the facts, all salespeople at once."""
    values = {"start": period.start, "end": period.end, "now": now}
    matched = await matches(conn, values)
    found = {}
    for row in await conn.execute(_COUNT, values):
        counts = {}
        for part in PARTS:
            match = matched.get((part, row.code))
            counts[part] = Count(
                counted=getattr(row, f"{part}_counted"),
                total=getattr(row, f"{part}_total"),
                amount=row.margin_amount if part == "margin" else None,
                actual=match.actual if match else None,
                expected=match.expected if match else None,
            )
        found[row.code] = Measures(row.code, row.customers, counts)
    return found


async def close_month(conn: AsyncConnection, period: Period, now: datetime) -> bool:
    """Keep a month whose orders have all come, for good; whether it was kept now."""
    row = closed_months.c
    known = select(row.period).where(row.period == period.name, row.measured_at >= period.end + AFTER).limit(1)
    if now < period.end + AFTER or await conn.scalar(known) is not None:
        return False
    return await keep(conn, period, now)


async def keep(conn: AsyncConnection, period: Period, now: datetime) -> bool:
    """Keep the month as it stands now; whether there is anybody in it."""
    rows = [
        {"period": period.name, "salesperson": each.code, "measures": _plain(each), "measured_at": now}
        for each in (await measure(conn, period, now)).values()
    ]
    await conn.execute(delete(closed_months).where(closed_months.c.period == period.name))
    if rows:
        await conn.execute(insert(closed_months), rows)
    return bool(rows)


@job("sales.close_months")
async def close_months(house: House) -> None:
    """Keep the months of the last year that are over, and the present one as it stands; one a transaction."""
    now = utc_now()
    for period in over(now, house.settings.zone):
        async with house.database.begin() as conn:
            await close_month(conn, period, now)
    async with house.database.begin() as conn:
        await keep(conn, period_of(now, house.settings.zone), now)


@tick(every=timedelta(minutes=10))
async def close_in_time(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await defer(conn, close_months, lock="sales.close_months", queueing_lock="sales.close_months")


def over(now: datetime, zone: ZoneInfo) -> list[Period]:
    """The months of the last year that may be closed, the oldest first."""
    found, period = [], period_of(now, zone)
    for _ in range(KEPT):
        period = period_of(period.start - timedelta(days=1), zone)
        if now >= period.end + AFTER:
            found.append(period)
    return found[::-1]


def _plain(measures: Measures) -> dict[str, Any]:
    counts = {
        part: {name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(count).items()}
        for part, count in measures.counts.items()
    }
    return {"customers": measures.customers, "counts": counts}


def _read(code: str, kept: dict[str, Any]) -> Measures:
    counts = {part: _count(kept["counts"][part]) if part in kept["counts"] else Count() for part in PARTS}
    return Measures(code, kept["customers"], counts)


def _count(kept: dict[str, Any]) -> Count:
    values: dict[str, Any] = {name: Decimal(value) if isinstance(value, str) else value for name, value in kept.items()}
    return Count(**values)


def _counting(name: str) -> str:
    amount = ", sum(amount) FILTER (WHERE counts) AS amount" if name == "margin" else ""
    return f"""
        LEFT JOIN (
            SELECT salesperson, count(*) AS total, count(*) FILTER (WHERE counts) AS counted{amount}
            FROM ({RECORDS[name]}) records GROUP BY salesperson
        ) {name} ON {name}.salesperson = s.code
    """  # noqa: S608 -- put together from this room's own words


_COLUMNS = ", ".join(
    f"coalesce({name}.counted, 0) AS {name}_counted, coalesce({name}.total, 0) AS {name}_total" for name in PARTS
)
_COUNT = text(f"""
    WITH {OWN}
    SELECT s.code, coalesce(mine.customers, 0) AS customers, margin.amount AS margin_amount, {_COLUMNS}
    FROM salespeople s
    LEFT JOIN (SELECT salesperson, count(*) AS customers FROM own GROUP BY 1) mine ON mine.salesperson = s.code
    {"".join(map(_counting, PARTS))}
    ORDER BY s.code
""")  # noqa: S608

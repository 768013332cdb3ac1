"""What salespeople did in a month, counted from the facts; months that are over are kept.

A month is closed 31 days after its end, when every order that it may count has come. From then on its numbers stand:
households that change hands later, or records that are corrected, do not rewrite what was said of it. `measure` counts
any month anew from the same facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, TextClause, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from sales.facts import MATCHED, OWN, OWN_OF_ONE, PARTS, RECORDS, RECORDS_OF_ONE
from sales.matching import matches
from sales.measures import Count, Frame, Measures, frame_of, nothing_of, read_frame, read_measures, written
from sales.models import closed_months
from sales.period import Period, period_of

AFTER = timedelta(days=31)
KEPT = 13  # months back that are closed by themselves


async def month(conn: AsyncConnection, period: Period, now: datetime, *, lately: bool = False) -> dict[str, Measures]:
    """By salesperson's code: as kept where the month is closed, else counted. `lately`: some minutes ago will do, where
    it was counted then."""
    row = closed_months.c
    asked = select(row.salesperson, row.measures).where(row.period == period.name)
    if not lately:
        asked = asked.where(row.measured_at >= period.end + AFTER)
    found = {each.salesperson: read_measures(each.salesperson, each.measures) for each in await conn.execute(asked)}
    return found or await measure(conn, period, now)


async def is_kept(conn: AsyncConnection, period: Period) -> bool:
    """Whether `month` with `lately` has the month without counting it."""
    row = closed_months.c
    return await conn.scalar(select(row.period).where(row.period == period.name).limit(1)) is not None


async def measure(conn: AsyncConnection, period: Period, now: datetime) -> dict[str, Measures]:
    """The month counted from the facts, all salespeople at once."""
    values = {"start": period.start, "end": period.end, "now": now}
    matched = await matches(conn, values)
    found = {}
    for row in await conn.execute(_COUNT, values):
        counts = _counts(row)
        for part in MATCHED:
            if match := matched.get((part, row.code)):
                counts[part] = replace(counts[part], actual=match.actual, expected=match.expected, share=match.share)
        found[row.code] = Measures(row.code, row.customers, counts)
    return found


async def measure_one(conn: AsyncConnection, period: Period, now: datetime, code: str) -> Measures:
    """Of one salesperson, quickly: what matched households brought is not asked about."""
    values = {"start": period.start, "end": period.end, "now": now, "code": code}
    row = (await conn.execute(_COUNT_ONE, values)).one_or_none()
    return Measures(code, row.customers, _counts(row)) if row else nothing_of(code)


async def counted_anew(
    conn: AsyncConnection, period: Period, now: datetime, kept: Mapping[str, Measures], code: str
) -> dict[str, Measures]:
    """`kept`, with the present records of one salesperson where the month is not closed; what matched households bring
    stays as it stood."""
    found, before = dict(kept), kept.get(code) or nothing_of(code)
    if now < period.end + AFTER:
        own = await measure_one(conn, period, now, code)
        matched = {part: _compared(own.counts[part], before.counts[part]) for part in MATCHED}
        found[code] = replace(own, counts={**own.counts, **matched})
    return found


async def kept_of(conn: AsyncConnection, code: str, names: Sequence[str]) -> dict[str, tuple[Measures, Frame]]:
    """What is kept of one salesperson, by the months' names."""
    row = closed_months.c
    asked = select(row.period, row.measures).where(row.salesperson == code, row.period.in_(names))
    rows = await conn.execute(asked)
    return {each.period: (read_measures(code, each.measures), read_frame(each.measures)) for each in rows}


async def close_month(conn: AsyncConnection, period: Period, now: datetime) -> bool:
    """Keep a month whose orders have all come, for good; whether it was kept now."""
    row = closed_months.c
    known = select(row.period).where(row.period == period.name, row.measured_at >= period.end + AFTER).limit(1)
    if now < period.end + AFTER or await conn.scalar(known) is not None:
        return False
    return await keep(conn, period, now)


async def keep(conn: AsyncConnection, period: Period, now: datetime) -> bool:
    """Keep the month as it stands now; whether there is anybody in it."""
    measured = (await measure(conn, period, now)).values()
    frame = frame_of(measured)
    rows = [
        {"period": period.name, "salesperson": each.code, "measures": written(each, frame), "measured_at": now}
        for each in measured
    ]
    await conn.execute(delete(closed_months).where(closed_months.c.period == period.name))
    if rows:
        await conn.execute(insert(closed_months), rows)
    return bool(rows)


@job("sales.close_months")
async def close_months(house: House) -> None:
    """Keep the months of the last year that are over; the present one and those whose orders still come as they stand.
    One a transaction."""
    now = utc_now()
    for period in over(now, house.settings.zone):
        async with house.database.begin() as conn:
            await close_month(conn, period, now)
    for period in moving(now, house.settings.zone):
        async with house.database.begin() as conn:
            await keep(conn, period, now)


@tick(every=timedelta(minutes=10))
async def close_in_time(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await defer(conn, close_months, lock="sales.close_months", queueing_lock="sales.close_months")


def over(now: datetime, zone: ZoneInfo) -> list[Period]:
    """The months of the last year that may be closed, the oldest first."""
    return [period for period in _months(now, zone)[1:] if now >= period.end + AFTER][::-1]


def moving(now: datetime, zone: ZoneInfo) -> list[Period]:
    """The present month, and those before it that may not be closed yet."""
    return [period for period in _months(now, zone) if now < period.end + AFTER]


def _months(now: datetime, zone: ZoneInfo) -> list[Period]:
    found = [period_of(now, zone)]
    for _ in range(KEPT):
        found.append(period_of(found[-1].start - timedelta(days=1), zone))
    return found


def _compared(own: Count, before: Count) -> Count:
    return replace(own, actual=before.actual, expected=before.expected, share=before.share)


def _counts(row: Row[Any]) -> dict[str, Count]:
    return {
        part: Count(
            counted=getattr(row, f"{part}_counted"),
            total=getattr(row, f"{part}_total"),
            amount=row.margin_amount if part == "margin" else None,
        )
        for part in PARTS
    }


def _counting(name: str, records: Mapping[str, str]) -> str:
    amount = ", sum(amount) FILTER (WHERE counts) AS amount" if name == "margin" else ""
    return f"""
        LEFT JOIN (
            SELECT salesperson, count(*) AS total, count(*) FILTER (WHERE counts) AS counted{amount}
            FROM ({records[name]}) records GROUP BY salesperson
        ) {name} ON {name}.salesperson = s.code
    """  # noqa: S608 -- put together from this room's own words


_COLUMNS = ", ".join(
    f"coalesce({name}.counted, 0) AS {name}_counted, coalesce({name}.total, 0) AS {name}_total" for name in PARTS
)


def _count(own: str, records: Mapping[str, str], which: str) -> TextClause:
    return text(f"""
        WITH {own}
        SELECT s.code, coalesce(mine.customers, 0) AS customers, margin.amount AS margin_amount, {_COLUMNS}
        FROM salespeople s
        LEFT JOIN (SELECT salesperson, count(*) AS customers FROM own GROUP BY 1) mine ON mine.salesperson = s.code
        {"".join(_counting(part, records) for part in PARTS)}
        {which} ORDER BY s.code
    """)  # noqa: S608


_COUNT = _count(OWN, RECORDS, "")
_COUNT_ONE = _count(OWN_OF_ONE, RECORDS_OF_ONE, "WHERE s.code = :code")

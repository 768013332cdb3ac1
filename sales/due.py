"""When follow-ups are opened: a second after their customers changed, and everybody's by the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import NEWS
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from sales.models import follow_up_states
from sales.opening import STATE, escalate, give_out, open_by, open_news, tidy
from sales.rules import rules_of
from sales.signals import SOURCES
from segments.context import context_at

SWEPT_EVERY = timedelta(minutes=30)


@job("sales.open_follow_ups", priority=20)
async def open_follow_ups(house: House) -> None:
    """What changed since the last time."""
    async with house.database.begin() as conn:
        await open_news(conn, context_at(utc_now(), house.settings))


@job("sales.sweep_follow_ups")
async def sweep_follow_ups(house: House) -> None:
    """Everybody: what comes with time alone. A transaction a rule, and beside the job above: a look at a million
    customers must not keep the one waiting who clicked now."""
    context = context_at(utc_now(), house.settings)
    async with house.database.begin() as conn:
        await tidy(conn, context.now)
        rules = await rules_of(conn)
    for rule in rules:
        async with house.database.begin() as conn:
            await open_by(conn, rule, context)


@tick(every=timedelta(seconds=0.25))
async def look_for_signals(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        if await _changed(conn):
            await check_term(conn, term)
            await defer(conn, open_follow_ups, lock="sales.open_follow_ups", queueing_lock="sales.open_follow_ups")


@tick(every=timedelta(minutes=1))
async def keep_the_day(house: House, term: Term, now: datetime) -> None:
    """What is late is escalated; a new day has new room; now and then everybody is looked at."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await escalate(conn, now)
        await give_out(conn, now, house.settings.zone)
        swept = await conn.scalar(select(follow_up_states.c.swept_at).where(follow_up_states.c.name == STATE))
        if swept is None or now - swept >= SWEPT_EVERY:
            await defer(conn, sweep_follow_ups, lock="sales.sweep_follow_ups", queueing_lock="sales.sweep_follow_ups")


async def _changed(conn: AsyncConnection) -> bool:
    """Whether anybody gave a signal since the last look; a first look is due too."""
    return bool(await conn.scalar(_CHANGED, {"sources": sorted(set(SOURCES.values()))}))


_CHANGED = text(f"""
    SELECT NOT EXISTS (SELECT FROM follow_up_states WHERE snapshot IS NOT NULL) OR EXISTS (
        SELECT FROM follow_up_states s, changed_customers c
        WHERE {NEWS.format(snapshot="s.snapshot", sources="CAST(:sources AS text[])")}
    )
""")  # noqa: S608 -- put together from our own words

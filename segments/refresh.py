"""When segments are evaluated: as their customers change, as time passes, and once they are saved.

A tick asks which are due; each is a job of its own. What one costs decides how often it may run, so that all of them
together stay a small part of the database's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import NEWS
from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from runtime.text import printable
from segments.context import EvaluationContext, context_at
from segments.crossing import ALWAYS
from segments.forget import forget, purge
from segments.standing import evaluate, fingerprints
from segments.states import note_failure

SOONEST = timedelta(minutes=1)
BY_TIME = timedelta(minutes=15)
"""How often a segment is evaluated whose customers cross at any moment; by dates they cross at midnight."""

AFTER_FAILURE = timedelta(hours=1)
_REST = 20  # an evaluation is followed by a rest of so many times its own length
_REASON_LIMIT = 500
_LANES = 2  # evaluations at once, in the whole installation


async def _give_up(house: House, error: Exception, *, segment_id: int) -> None:
    """Whatever it is, it is not to be tried at each tick."""
    async with house.database.begin() as conn:
        await note_failure(conn, segment_id, printable(f"{type(error).__name__}: {error}"[:_REASON_LIMIT]), utc_now())


@job("segments.refresh", priority=5, given_up=_give_up)
async def refresh_segment(house: House, *, segment_id: int) -> None:
    """Evaluate one segment; where its rule cannot be evaluated any more, keep why."""
    now = utc_now()
    try:
        async with house.database.begin() as conn:
            await evaluate(conn, segment_id, context_at(now, house.settings))
    except Invalid as error:
        async with house.database.begin() as conn:
            await note_failure(conn, segment_id, str(error), now)


@job("segments.tidy")
async def tidy_segments(house: House) -> None:
    """Purge what nobody reads any more, and forget segments that are gone."""
    async with house.database.begin() as conn:
        await purge(conn, utc_now())
    async with house.database.connect() as conn:
        gone = list(await conn.scalars(_GONE))
    for segment_id in gone:
        async with house.database.begin() as conn:
            await forget(conn, segment_id)


async def refresh_soon(conn: AsyncConnection, segment_id: int) -> None:
    """Let a worker evaluate the segment once this transaction commits."""
    lane = f"segments {segment_id % _LANES}"
    await defer(conn, refresh_segment, lock=lane, queueing_lock=f"segment {segment_id}", segment_id=segment_id)


async def due_segments(conn: AsyncConnection, context: EvaluationContext) -> list[int]:
    """Which segments are to be evaluated now, by id."""
    meant = await fingerprints(conn, context.timezone)
    return [row.id for row in await conn.execute(_STANDING) if _is_due(row, meant, context)]


@tick(every=timedelta(seconds=20))
async def refresh_due_segments(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        for segment_id in await due_segments(conn, context_at(now, house.settings)):
            await refresh_soon(conn, segment_id)


@tick(every=timedelta(minutes=2))
async def tidy_now_and_then(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await defer(conn, tidy_segments, queueing_lock="segments.tidy")


def _is_due(row: Row[Any], meant: Mapping[int, str], context: EvaluationContext) -> bool:
    now = context.now
    if row.error is not None and now - row.tried_at < AFTER_FAILURE:
        return False
    if row.evaluated_at is None or row.fingerprint != meant.get(row.id):
        return True
    rested = now - row.evaluated_at >= max(SOONEST, _REST * timedelta(milliseconds=row.milliseconds))
    if rested and (row.changed or (row.moves == ALWAYS and now - row.evaluated_at >= BY_TIME)):
        return True
    return local_date(now, context.timezone) != local_date(row.evaluated_at, context.timezone)


_STANDING = text(f"""
    SELECT g.id, s.evaluated_at, s.fingerprint, s.moves, s.milliseconds, s.error, s.tried_at, EXISTS (
        SELECT FROM changed_customers c WHERE {NEWS.format(snapshot="s.snapshot", sources="s.sources")}
    ) AS changed
    FROM segments g LEFT JOIN segment_states s ON s.segment_id = g.id
    ORDER BY s.evaluated_at NULLS FIRST, g.id
""")  # noqa: S608 -- put together from our own words

_GONE = text("SELECT segment_id FROM segment_states WHERE segment_id NOT IN (SELECT id FROM segments)")

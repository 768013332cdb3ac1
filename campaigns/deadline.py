"""The deadline of a run: so many hours after its due time, what is still queued is cancelled and the run is over."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.finish import finish_if_done, lock_of_run
from campaigns.models import runs
from campaigns.options import Options
from campaigns.states import LIVE, RunState
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import check_claim, defer, job
from tracking.ledger import cancel_queued

DEADLINE = "deadline"


@job("campaigns.end_run", retry=Backoff(None, timedelta(seconds=2), timedelta(minutes=1)), priority=10)
async def end_run(house: House, *, run_id: int) -> None:
    """Due at the deadline; harmless when repeated."""
    async with house.database.begin() as conn:
        await check_claim(conn)
        await end(conn, run_id, now=utc_now())


async def arm(conn: AsyncConnection, run_id: int, options: Options, occurrence: datetime) -> None:
    """Put the end of a run that is being frozen into the queue, where it has a deadline."""
    if options.deadline is not None:
        at = occurrence + timedelta(hours=options.deadline)
        await defer(conn, end_run, lock=f"end:{run_id}", schedule_at=at, run_id=run_id)


async def end(conn: AsyncConnection, run_id: int, *, now: datetime) -> int:
    """Cancel what a run has not handed over yet; answers how many. A run that is over already stays as it is."""
    await lock_of_run(conn, run_id)
    this = runs.c.id == run_id
    state = RunState((await conn.execute(select(runs.c.state).where(this))).scalar_one())
    if state not in LIVE:
        return 0
    cancelled = await cancel_queued(conn, run_id, reason=DEADLINE)
    if cancelled:
        note = f"the deadline passed: {cancelled} messages that were still queued are cancelled"
        await conn.execute(update(runs).where(this).values(note=note))
    await finish_if_done(conn, run_id, now=now)
    return cancelled

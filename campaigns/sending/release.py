"""A held domain is written to again, because somebody says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.batch import defer_batches
from campaigns.finish import lock
from campaigns.models import runs
from campaigns.sending.holds import forget_hold
from campaigns.sending.providers import domains_of
from campaigns.states import LIVE, RunState
from tracking.putting_off import bring_back

HEARD = timedelta(seconds=3)  # until then every worker knows: one that did not would put them off again


async def release(conn: AsyncConnection, name: str, *, now: datetime) -> int:
    """Write to the held (main) domain again at once. What had to wait for it comes back, whether it was tried or only
    put off; what waits for its own time does not. Answers how many messages. Raises NotFound."""
    await forget_hold(conn, name)
    going = await _live_runs(conn)
    back = await bring_back(conn, list(going), domains_of(name), at=now + HEARD)
    for run_id in sorted(back):
        if going[run_id] is RunState.SENDING:  # those of the others come with the resume
            await defer_batches(conn, run_id)
    return sum(back.values())


async def _live_runs(conn: AsyncConnection) -> dict[int, RunState]:
    """Their campaigns are locked, in the order in which everybody does."""
    asked = select(runs.c.id, runs.c.campaign_id).where(runs.c.state.in_(LIVE)).order_by(runs.c.campaign_id, runs.c.id)
    rows: Sequence[tuple[int, int]] = [(row.id, row.campaign_id) for row in await conn.execute(asked)]
    for campaign_id in dict.fromkeys(campaign_id for _, campaign_id in rows):
        await lock(conn, campaign_id)
    ids = [run_id for run_id, _ in rows]
    now_there = select(runs.c.id, runs.c.state).where(runs.c.id.in_(ids), runs.c.state.in_(LIVE))
    return {row.id: RunState(row.state) for row in await conn.execute(now_there)}

"""Pause and cancel: from the moment the transaction commits, senders notice within two seconds."""

from __future__ import annotations

from datetime import datetime

from psycopg.errors import DeadlockDetected
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.experiments.share import STOPPED, TESTING
from campaigns.experiments.verdict import How
from campaigns.finish import Locked, lock, lock_of_run, move
from campaigns.models import experiments, runs, schedules
from campaigns.states import ALLOWED, LIVE, RunState, State, Verb, require, sources
from tracking.ledger import cancel_queued

_TRIES = 5


async def pause(conn: AsyncConnection, campaign_id: int, *, now: datetime, reason: str | None = None) -> None:
    """Stop until `resume`; what is queued stays queued, due times wait. Raises NotFound, Conflict."""
    campaign = await lock(conn, campaign_id)
    require(Verb.PAUSE, campaign.state, str(campaign))
    await _pause(conn, campaign, now, reason)


async def pause_by_hand(conn: AsyncConnection, campaign_id: int, name: str, *, now: datetime) -> None:
    """Stop because somebody of that name wants it. Raises NotFound, Conflict."""
    await pause(conn, campaign_id, now=now, reason=by_hand(name))


def by_hand(name: str) -> str:
    """The reason of such a pause."""
    return f"paused by {name}"


async def pause_run(conn: AsyncConnection, run_id: int, *, now: datetime, reason: str) -> None:
    """A sender's own pause of the campaign that it sends; one that stopped meanwhile is left as it is."""
    campaign = await lock_of_run(conn, run_id)
    if campaign.state in ALLOWED[Verb.PAUSE]:
        await _pause(conn, campaign, now, reason)


async def cancel(conn: AsyncConnection, campaign_id: int, *, now: datetime) -> None:
    """End a campaign for good: what was not handed over yet is cancelled. Raises NotFound, Conflict."""
    campaign = await lock(conn, campaign_id)
    require(Verb.CANCEL, campaign.state, str(campaign))
    alive = select(runs.c.id).where(runs.c.campaign_id == campaign_id, runs.c.state.in_(LIVE))
    run_ids = list((await conn.execute(alive)).scalars())
    await _move_runs(conn, campaign_id, RunState.CANCELLED, finished_at=now)
    await conn.execute(
        update(schedules).where(schedules.c.campaign_id == campaign_id).values(active=False, next_at=None, error=None)
    )
    await move(conn, campaign, State.CANCELLED, now=now)
    undecided = (experiments.c.campaign_id == campaign_id) & (experiments.c.state == TESTING)
    over = {"state": STOPPED, "how": How.CANCELLED, "decided_at": now}
    await conn.execute(update(experiments).where(undecided).values(**over))
    for run_id in run_ids:
        await _cancel_messages(conn, run_id)


async def _pause(conn: AsyncConnection, campaign: Locked, now: datetime, reason: str | None) -> None:
    await _move_runs(conn, campaign.id, RunState.PAUSED)
    await conn.execute(update(schedules).where(schedules.c.campaign_id == campaign.id).values(active=False))
    await move(conn, campaign, State.PAUSED, now=now, pause_reason=reason)


async def _move_runs(conn: AsyncConnection, campaign_id: int, state: RunState, **values: datetime) -> None:
    moved = update(runs).where(runs.c.campaign_id == campaign_id, runs.c.state.in_(sources(state)))
    await conn.execute(moved.values(state=state, note=None, **values))


async def _cancel_messages(conn: AsyncConnection, run_id: int) -> None:
    """Senders may be recording results of the same messages in another order: where they and this lock each other up,
    the database refuses one of them, and it tries again."""
    for left in reversed(range(_TRIES)):
        try:
            async with conn.begin_nested():
                await cancel_queued(conn, run_id)
            return
        except DBAPIError as error:
            if not isinstance(error.orig, DeadlockDetected) or left == 0:
                raise

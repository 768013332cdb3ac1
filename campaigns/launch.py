"""Launch and resume: a campaign begins, or goes on after a pause."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import schedule
from campaigns.approve import approve
from campaigns.dispatch.batch import defer_batches
from campaigns.finish import finish_if_done, lock, move, settle
from campaigns.freeze import prepare_run
from campaigns.models import campaigns, runs, schedules
from campaigns.sending.judge import go_on
from campaigns.states import RunState, State, Verb, require
from campaigns.store import campaign as load_campaign
from runtime.errors import Invalid, Problem
from runtime.jobs import defer
from runtime.settings import Settings


async def launch(
    conn: AsyncConnection, campaign_id: int, *, settings: Settings, now: datetime, by: str | None = None
) -> None:
    """Approve a draft and start its schedule; without one its run begins when the transaction commits.

    Raises NotFound, Conflict for what is no draft, Invalid or BadSetting naming every culprit.
    """
    locked = await lock(conn, campaign_id)
    require(Verb.LAUNCH, locked.state, str(locked))
    found = await load_campaign(conn, campaign_id)
    if found.schedule.first(now) is None:
        at = found.schedule.to_json()
        raise Invalid(Problem("schedule.at", f"{at and at['at']} has passed; choose a later time, or null for now"))
    snapshot_id = await approve(conn, found, settings=settings, by=by, now=now)
    launched = update(campaigns).where(campaigns.c.id == campaign_id)
    await conn.execute(launched.values(snapshot_id=snapshot_id, launched_at=now))
    await move(conn, locked, State.SCHEDULED, now=now)
    await schedule.enter(conn, campaign_id, found.schedule, found.options, timezone=settings.timezone, now=now)


async def resume(conn: AsyncConnection, campaign_id: int, *, now: datetime) -> None:
    """Let a paused campaign go on: its queued messages at once, its schedule by the catch-up rule.

    Raises NotFound, Conflict for one that is not paused.
    """
    campaign = await lock(conn, campaign_id)
    require(Verb.RESUME, campaign.state, str(campaign))
    waiting = select(runs.c.id, runs.c.frozen_at).where(
        runs.c.campaign_id == campaign_id, runs.c.state == RunState.PAUSED
    )
    for run in (await conn.execute(waiting)).all():
        frozen = run.frozen_at is not None
        state = RunState.SENDING if frozen else RunState.PREPARING
        await conn.execute(update(runs).where(runs.c.id == run.id).values(state=state))
        if frozen:
            await defer_batches(conn, run.id)
            await finish_if_done(conn, run.id, now=now)
        else:
            await defer(conn, prepare_run, lock=f"prepare:{run.id}", run_id=run.id)
    goes_on = (schedules.c.campaign_id == campaign_id) & schedules.c.next_at.is_not(None)
    await conn.execute(update(schedules).where(goes_on).values(active=True, retry_at=None))
    await settle(conn, await lock(conn, campaign_id), now=now, resumed=True)
    await go_on(conn, campaign_id, now=now)

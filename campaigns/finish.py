"""The end of a run, found out exactly once, and what the campaign's state follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns, runs, schedules
from campaigns.states import NEXT, RunState, State, settled, sources
from runtime.errors import NotFound
from tracking.models import messages
from tracking.states import OPEN


@dataclass(frozen=True)
class Locked:
    """A campaign whose state nobody else changes until the transaction ends. Whoever changes a run locks this first."""

    id: int
    name: str
    state: State

    def __str__(self) -> str:
        return f"campaign {self.id} ({self.name})"


async def lock(conn: AsyncConnection, campaign_id: int) -> Locked:
    """Raises NotFound."""
    statement = select(campaigns.c.id, campaigns.c.name, campaigns.c.state).where(campaigns.c.id == campaign_id)
    row = (await conn.execute(statement.with_for_update())).one_or_none()
    if row is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    return Locked(row.id, row.name, State(row.state))


async def lock_of_run(conn: AsyncConnection, run_id: int) -> Locked:
    """The campaign of a run. Raises NotFound."""
    campaign_id = await conn.scalar(select(runs.c.campaign_id).where(runs.c.id == run_id))
    if campaign_id is None:
        raise NotFound(f"there is no run {run_id}")
    return await lock(conn, campaign_id)


async def finish_if_done(conn: AsyncConnection, run_id: int, *, now: datetime) -> bool:
    """Finish a frozen run that has no message left to send; whoever comes second finds it finished."""
    left = _left(run_id)
    if await conn.scalar(select(left)):
        return False
    campaign = await lock_of_run(conn, run_id)
    done = update(runs).where(runs.c.id == run_id, runs.c.frozen_at.is_not(None), ~left)
    done = done.where(runs.c.state.in_(sources(RunState.FINISHED)))
    finished = await conn.execute(done.values(state=RunState.FINISHED, finished_at=now))
    if finished.rowcount:
        await settle(conn, campaign, now=now)
    return bool(finished.rowcount)


def _left(run_id: int) -> ColumnElement[bool]:
    """Whether a run has messages to send. Asked from its last batch down: the first one seen is such a message, until
    the run is as good as through."""
    open_ones = messages.c.batch.is_not(None) & messages.c.state.in_(OPEN)
    last = select(messages.c.batch).where(messages.c.run_id == run_id, open_ones).order_by(messages.c.batch.desc())
    return last.limit(1).scalar_subquery().is_not(None)


async def fail_run(conn: AsyncConnection, run_id: int, error: str, *, now: datetime) -> None:
    """A run that cannot be prepared: say why, and let the campaign go on to its next occurrence if there is one."""
    campaign = await lock_of_run(conn, run_id)
    failed = update(runs).where(runs.c.id == run_id, runs.c.state.in_(sources(RunState.FAILED)))
    await conn.execute(failed.values(state=RunState.FAILED, error=error, finished_at=now))
    await settle(conn, campaign, now=now)


async def settle(
    conn: AsyncConnection, campaign: Locked, *, now: datetime, resumed: bool = False, pause_reason: str | None = None
) -> State:
    """Bring the campaign's state in line with its runs and schedule. `resumed`: its pause is over."""
    states = select(runs.c.state).where(runs.c.campaign_id == campaign.id).order_by(runs.c.occurrence)
    found = [RunState(state) for state in (await conn.execute(states)).scalars()]
    more = select(exists().where(schedules.c.campaign_id == campaign.id, schedules.c.next_at.is_not(None)))
    current = State.SCHEDULED if resumed else campaign.state
    state = settled(current, found, bool(await conn.scalar(more)))
    if state is not campaign.state:
        await move(conn, campaign, state, now=now, pause_reason=pause_reason)
    return state


async def move(
    conn: AsyncConnection, campaign: Locked, state: State, *, now: datetime, pause_reason: str | None = None
) -> None:
    """Write a state that the table of moves allows; what it makes void is cleared."""
    assert state in NEXT[campaign.state], f"{campaign.state} > {state}"
    ended = now if not NEXT[state] else None
    values = {"state": state, "pause_reason": pause_reason, "finished_at": ended, "updated_at": now}
    await conn.execute(update(campaigns).where(campaigns.c.id == campaign.id).values(**values))

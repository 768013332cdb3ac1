"""Due times become runs, each exactly once: an occurrence, its run and the job that prepares it are one transaction.

`UNIQUE (schedule_id, occurrence_utc)` says it once for everybody; the leader's term is checked first, so that one who
was frozen and thaws writes nothing.

A run at the recipients' own time starts ahead of its due time (campaigns/timing.py): `starts_at` says when.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Row, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.apart import apart
from campaigns.due import Reckoning, Schedule, reckon
from campaigns.finish import lock, settle
from campaigns.freeze import prepare_run
from campaigns.models import occurrences, runs, schedules, snapshots
from campaigns.options import Options
from campaigns.timing import lead
from runtime.backoff import Backoff
from runtime.errors import HearthError
from runtime.house import House
from runtime.jobs import defer
from runtime.leader import Term, check_term
from runtime.scheduler import tick

log = logging.getLogger(__name__)

RETRIES = Backoff(None, timedelta(seconds=2), timedelta(minutes=10))
STARTED, MISSED = "started", "missed"
STARTS_AT = func.coalesce(schedules.c.starts_at, schedules.c.next_at)
BY_HAND = 0  # the term of an occurrence that a launch started itself
_AT_ONCE = 100


@tick(every=timedelta(seconds=1))
async def start_due(house: House, term: Term, now: datetime) -> None:
    """Work off all schedules whose time has come, one transaction each. One that fails is tried again, less and less
    often, and says why. Raises NotLeader when the term is over."""
    again = schedules.c.retry_at
    ready = or_(again.is_(None), again <= now, again > now + RETRIES.longest)  # the last: our clock went back
    async with house.database.connect() as conn:
        due = select(schedules.c.campaign_id).where(schedules.c.active, now >= STARTS_AT, ready)
        found = (await conn.execute(due.order_by(STARTS_AT).limit(_AT_ONCE))).scalars().all()
    for campaign_id in found:
        async with apart(house, term, campaign_id, partial(_failed, house, term, now)) as conn:
            await work_off(conn, campaign_id, term.number, now)


async def enter(
    conn: AsyncConnection, campaign_id: int, schedule: Schedule, options: Options, *, timezone: str, now: datetime
) -> None:
    """Put a launched campaign on the schedule; one that is due at once starts right here, by the same path."""
    first, zone = schedule.first(now), schedule.timezone or timezone
    values = {"cron": schedule.cron, "timezone": zone, "active": True, **_coming(first, options, zone)}
    await conn.execute(insert(schedules).values(campaign_id=campaign_id, **values))
    if schedule == Schedule():
        await work_off(conn, campaign_id, BY_HAND, now)


async def work_off(conn: AsyncConnection, campaign_id: int, term: int, now: datetime) -> None:
    """Start the due run of one campaign and note what was missed; nothing if somebody else did so meanwhile."""
    campaign = await lock(conn, campaign_id)
    row = await _due(conn, campaign_id, now)
    if row is None:
        return
    options = Options.from_json(row.options)
    reckoning = reckon(
        row.cron,
        row.timezone,
        row.next_at,
        now,
        timedelta(hours=options.catch_up_hours),
        lead=lead(options, row.next_at, row.timezone),
        each="anchor" in row.audience,
    )
    await _note_missed(conn, row.id, reckoning.missed, term)
    for due in reckoning.start:
        await _start(conn, row, due, term)
    if reckoning.missed:
        log.warning("%s: %s due times were missed", campaign, len(reckoning.missed))
    await _advance(conn, row, reckoning, options)
    await settle(conn, campaign, now=now)


async def _failed(house: House, term: Term, now: datetime, campaign_id: int, error: Exception) -> bool:
    """Keep why the campaign could not be started, and when to try again; whether it is another reason than before."""
    said = f"cannot be started, it is tried again: {_words(error)}"
    async with house.database.begin() as conn:
        await check_term(conn, term)
        mine = schedules.c.campaign_id == campaign_id
        row = (await conn.execute(select(schedules.c.error, schedules.c.tries).where(mine))).one_or_none()
        tries = 1 if row is None else row.tries + 1
        values = {"error": said, "tries": tries, "retry_at": RETRIES.next_at(tries, now)}
        await conn.execute(update(schedules).where(mine).values(**values))
    return row is None or row.error != said


def _words(error: Exception) -> str:
    """What people are told of an error: our own in full, of others the first line, by which the log is found."""
    first = next(iter(str(error).splitlines()), "")[:200]
    return str(error) if isinstance(error, HearthError) else f"{type(error).__name__}: {first}"


async def _due(conn: AsyncConnection, campaign_id: int, now: datetime) -> Any:
    """The schedule with the campaign's latest approved snapshot, if its time has come."""
    statement = (
        select(*schedules.c["id", "campaign_id", "cron", "timezone", "next_at"], snapshots.c.options)
        .add_columns(snapshots.c.id.label("snapshot_id"), snapshots.c.audience)
        .join_from(schedules, snapshots, snapshots.c.campaign_id == schedules.c.campaign_id)
        .where(schedules.c.campaign_id == campaign_id, schedules.c.active, now >= STARTS_AT)
        .order_by(snapshots.c.id.desc())
        .limit(1)
    )
    return (await conn.execute(statement)).one_or_none()


async def _start(conn: AsyncConnection, row: Row[Any], due: datetime, term: int) -> None:
    """The occurrence, its run and the job that prepares it; nothing where the occurrence is there already."""
    taken = insert(occurrences).values(schedule_id=row.id, occurrence_utc=due, term=term, state=STARTED)
    mine = taken.on_conflict_do_nothing().returning(occurrences.c.schedule_id)
    if (await conn.execute(mine)).one_or_none() is None:
        return
    run = insert(runs).values(campaign_id=row.campaign_id, snapshot_id=row.snapshot_id, occurrence=due)
    run_id = (await conn.execute(run.returning(runs.c.id))).scalar_one()
    this = (occurrences.c.schedule_id == row.id) & (occurrences.c.occurrence_utc == due)
    await conn.execute(update(occurrences).where(this).values(run_id=run_id))
    await defer(conn, prepare_run, lock=f"prepare:{run_id}", run_id=run_id)


async def _note_missed(conn: AsyncConnection, schedule_id: int, missed: Sequence[datetime], term: int) -> None:
    rows = [{"schedule_id": schedule_id, "occurrence_utc": due, "term": term, "state": MISSED} for due in missed]
    if rows:
        await conn.execute(insert(occurrences).on_conflict_do_nothing(), rows)


async def _advance(conn: AsyncConnection, row: Row[Any], reckoning: Reckoning, options: Options) -> None:
    going = {"active": reckoning.next is not None, "error": None, "tries": 0, "retry_at": None}
    following = {**going, **_coming(reckoning.next, options, row.timezone)}
    await conn.execute(update(schedules).where(schedules.c.id == row.id).values(**following))


def _coming(due: datetime | None, options: Options, timezone: str) -> dict[str, datetime | None]:
    """The columns of the next due time. `starts_at` NULL: its run starts then."""
    ahead = timedelta(0) if due is None else lead(options, due, timezone)
    return {"next_at": due, "starts_at": due - ahead if due is not None and ahead else None}

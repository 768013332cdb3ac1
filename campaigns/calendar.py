"""What goes out when: past runs, missed due times and those to come, with how many people each is or will be about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience
from campaigns.due import ON_TIME, Schedule, due_between, read_schedule
from campaigns.models import campaigns, occurrences, runs, schedules, snapshots
from campaigns.options import Options
from campaigns.schedule import MISSED
from campaigns.states import State
from campaigns.timing import lead
from segments.context import EvaluationContext
from tracking.models import messages

LONGEST = timedelta(days=100)
COMING, WAITING = "coming", "waiting"  # WAITING: its campaign is paused, so the catch-up rule will decide
MOST = 2_000  # due times of one campaign that are looked at
A_DAY = 4  # due times of a campaign on one day from which on they are one entry
COUNTED_EACH, COUNTED = 3, 15  # days of an anchor, and of all together, that are counted for one answer


@dataclass(frozen=True)
class Entry:
    """Something of a campaign at `at`: a run (`state` its state), a due time that was missed, or one that is coming or
    waiting. `times`: so many due times of that day in one. `people`: of the run, or `estimated`; None: not known.
    `late`: by how much the run started too late. `starts_at`: when the run starts, if ahead of its due time."""

    campaign_id: int
    name: str
    channel: str
    kind: str  # now at cron anchor
    at: datetime
    state: str
    run_id: int | None = None
    people: int | None = None
    estimated: bool = False
    times: int = 1
    late: timedelta | None = None
    starts_at: datetime | None = None


@dataclass(frozen=True)
class Span:
    """From `low` on and before `high`, as seen at `now`."""

    low: datetime
    high: datetime
    now: datetime


async def entries(conn: AsyncConnection, span: Span, context: EvaluationContext) -> list[Entry]:
    """Everything of launched campaigns in a span of time, by time. Estimates: for cron and single times the last run's
    audience, else that at the approval; for the first days of an anchor those whose day it is as of now, for the later
    ones as many as there are on average then."""
    found = [*await _past(conn, span), *await _missed(conn, span), *await _coming(conn, span, context)]
    ordered = sorted(found, key=lambda entry: (entry.campaign_id, entry.state, entry.at))
    return sorted(_by_day(ordered, context.zone), key=lambda entry: (entry.at, entry.campaign_id))


def kind_of(schedule: Schedule) -> str:
    if schedule.anchor is not None:
        return "anchor"
    return "cron" if schedule.cron is not None else "at" if schedule.at is not None else "now"


async def _past(conn: AsyncConnection, span: Span) -> list[Entry]:
    counted = select(func.count()).where(messages.c.run_id == runs.c.id).scalar_subquery()
    statement = (
        _named(
            *runs.c["id", "occurrence", "state", "started_at"], func.coalesce(runs.c.people, counted).label("people")
        )
        .join(runs, runs.c.campaign_id == campaigns.c.id)
        .where(runs.c.occurrence >= span.low, runs.c.occurrence < span.high)
    )
    return [
        replace(
            _entry(row, row.occurrence, row.state),
            run_id=row.id,
            people=row.people,
            late=late if (late := row.started_at - row.occurrence) > ON_TIME else None,
        )
        for row in await conn.execute(statement)
    ]


async def _missed(conn: AsyncConnection, span: Span) -> list[Entry]:
    at = occurrences.c.occurrence_utc
    statement = (
        _named(at)
        .join(schedules, schedules.c.campaign_id == campaigns.c.id)
        .join(occurrences, occurrences.c.schedule_id == schedules.c.id)
        .where(occurrences.c.state == MISSED, at >= span.low, at < span.high)
    )
    return [_entry(row, row.occurrence_utc, MISSED) for row in await conn.execute(statement)]


async def _coming(conn: AsyncConnection, span: Span, context: EvaluationContext) -> list[Entry]:
    last = select(runs.c.people).where(runs.c.campaign_id == campaigns.c.id).order_by(runs.c.occurrence.desc()).limit(1)
    statement = (
        _named(*schedules.c["next_at", "timezone"], *snapshots.c["audience", "options", "report"])
        .add_columns(last.scalar_subquery().label("last"))
        .join(schedules, schedules.c.campaign_id == campaigns.c.id)
        .join(snapshots, snapshots.c.id == campaigns.c.snapshot_id)
        .where(schedules.c.next_at < span.high)
        .order_by(schedules.c.next_at)
    )
    found: list[Entry] = []
    for row in (await conn.execute(statement)).all():
        coming = list(_ahead(row, span))
        if "anchor" in row.audience:
            left = COUNTED - COUNTED_EACH * len({entry.campaign_id for entry in found if entry.kind == "anchor"})
            coming = await _counted(conn, row.audience, coming, min(left, COUNTED_EACH), context)
        found += coming
    return found


def _ahead(row: Row[Any], span: Span) -> Iterator[Entry]:
    """The due times of one schedule: the one that stands next, and those behind it."""
    schedule = read_schedule(row.schedule)
    options = Options.from_json(row.options)
    state = WAITING if row.campaign_state == State.PAUSED else COMING
    behind = max(span.low, row.next_at + timedelta(microseconds=1))
    following = due_between(schedule, behind, span.high, MOST) if schedule.cron is not None else []
    for at in [row.next_at, *following]:
        if span.low <= at < span.high:
            ahead = lead(options, at, row.timezone)
            people = row.last if row.last is not None else row.report.get("audience")
            entry = replace(_entry(row, at, state), starts_at=at - ahead if ahead else None)
            yield entry if schedule.anchor else replace(entry, people=people, estimated=people is not None)


async def _counted(
    conn: AsyncConnection, stored: audience.Stored, coming: Sequence[Entry], left: int, context: EvaluationContext
) -> list[Entry]:
    """The days of an anchor with how many people each is about; `left`: so many of them are counted."""
    people = [await audience.size(conn, audience.of_run(stored, entry.at), context) for entry in coming[: max(0, left)]]
    if not people:
        return list(coming)
    people += [round(sum(people) / len(people))] * (len(coming) - len(people))
    return [replace(entry, people=n, estimated=True) for entry, n in zip(coming, people, strict=True)]


def _by_day(ordered: Sequence[Entry], zone: ZoneInfo) -> Iterator[Entry]:
    """Many of one campaign on one day as one: what comes every minute would bury the rest. `ordered` by campaign."""
    for _, group in groupby(ordered, key=lambda one: (one.campaign_id, one.state, one.at.astimezone(zone).date())):
        same = list(group)
        if len(same) < A_DAY:
            yield from same
        else:
            yield replace(same[0], times=len(same), run_id=None)


def _named(*columns: Any) -> Select[Any]:
    own = campaigns.c
    state = own.state.label("campaign_state")
    return select(own.id.label("campaign_id"), own.name, own.channel, own.schedule, state, *columns).select_from(
        campaigns
    )


def _entry(row: Row[Any], at: datetime, state: str) -> Entry:
    return Entry(row.campaign_id, row.name, row.channel, kind_of(read_schedule(row.schedule)), at, state)

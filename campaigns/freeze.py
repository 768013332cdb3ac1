"""Freezing a run: one message for everybody in the audience, those who must not be contacted born skipped."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Insert,
    SmallInteger,
    Text,
    case,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, deadline, finish, timing
from campaigns.dispatch.batch import defer_batches
from campaigns.experiments.editions import Editions, read_editions
from campaigns.experiments.share import Cut, begin
from campaigns.models import campaigns, runs, schedules, snapshots
from campaigns.options import Options
from campaigns.respect.household import skip_duplicates
from campaigns.respect.judging import judging
from campaigns.states import LIVE, RunState
from campaigns.timing import Slots, Timetable
from channels.registry import channel_named
from customers.changes import note_changed
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.house import House
from runtime.jobs import check_claim, job
from runtime.registry import ChannelKind
from segments.context import EvaluationContext, context_at
from segments.patterns import time_limit
from segments.speed import full_speed
from tracking.models import link_tables, messages
from tracking.states import State

log = logging.getLogger(__name__)

BATCH = 1_000
LEAST = 250  # messages of a batch
SHARES = 8  # batches that workers can have at the same time, of a run that is large enough for that
MANY = 20  # batches; from there on the addresses of all are sorted rather than looked up
LISTED = 100_000  # messages whose customers are noted one by one
LONGEST = 900.0  # seconds that the freezing statement may take
NOBODY = "the audience is empty: nobody to write to"


@dataclass(frozen=True)
class Plan:
    """What freezing a run needs, from its snapshot."""

    run_id: int
    campaign_id: int
    channel: ChannelKind
    audience: audience.Stored
    options: Options
    editions: Editions
    occurrence: datetime
    zone: str  # of the schedule


class Overtaken(Conflict):
    """The run was cancelled while it was being frozen: nothing of it is kept."""


@job("campaigns.prepare_run", retry=Backoff(10, timedelta(seconds=2), timedelta(minutes=5)), priority=10)
async def prepare_run(house: House, *, run_id: int) -> None:
    """Freeze the run and put its batches into the queue, all in one transaction; harmless when repeated."""
    now = utc_now()
    try:
        async with house.database.begin() as conn:
            await check_claim(conn)
            await freeze(conn, run_id, context_at(now, house.settings))
    except Overtaken as error:
        log.info("%s", error)
    except Invalid as error:  # the audience can no longer be evaluated: a definition is gone
        async with house.database.begin() as conn:
            await finish.fail_run(conn, run_id, str(error), now=now)


async def freeze(conn: AsyncConnection, run_id: int, context: EvaluationContext) -> None:
    """Write the run's messages and its link table, then let it send; a run that is not being prepared stays as it is.

    The campaign is locked only at the end, so that pause and cancel need not wait for a large audience. Raises Invalid
    where the audience cannot be evaluated, Overtaken where the run was cancelled meanwhile.
    """
    plan = await _plan(conn, run_id)
    if plan is not None:
        await _freeze(conn, plan, context)


async def _freeze(conn: AsyncConnection, plan: Plan, context: EvaluationContext) -> None:
    await _write_links(conn, plan)
    snapshot = await conn.scalar(select(cast(func.pg_current_snapshot(), Text)))
    await full_speed(conn)
    members = await audience.members(conn, plan.audience, context)
    start = timing.Start(plan.run_id, plan.occurrence, plan.zone, context.now)
    slots = await timing.slots(conn, plan.options, members, start)
    cut = await _cut(conn, plan, slots, context)
    statement = await _freezing(conn, plan, context, slots, cut)
    async with time_limit(conn, LONGEST):
        frozen = await conn.execute(statement)
    await skip_duplicates(conn, plan.run_id, one_per_household=plan.options.one_per_household)
    await _note(conn, plan.run_id, frozen.rowcount)
    if isinstance(cut, Cut):
        await begin(conn, cut, now=context.now, zone=context.zone)
    await deadline.arm(conn, plan.run_id, plan.options, plan.occurrence)
    written = {"frozen_at": context.now, "frozen_snapshot": snapshot, "batches": cut.batches, "people": frozen.rowcount}
    await _let_go(conn, plan, context.now, written)


async def _note(conn: AsyncConnection, run_id: int, number: int) -> None:
    """Who got a message; a list of very many helps nobody who looks at them again."""
    written = select(messages.c.customer_id).where(messages.c.run_id == run_id)
    await note_changed(conn, "messages", written if number <= LISTED else None)


async def _let_go(conn: AsyncConnection, plan: Plan, now: datetime, written: Mapping[str, Any]) -> None:
    """Begin to send, or stay paused until the run is resumed; `written`: what the freeze says of the run."""
    campaign = await finish.lock(conn, plan.campaign_id)
    this = runs.c.id == plan.run_id
    state = RunState((await conn.execute(select(runs.c.state).where(this))).scalar_one())
    if state not in LIVE:
        raise Overtaken(f"run {plan.run_id} was {state} while it was being prepared")
    following = RunState.SENDING if state is RunState.PREPARING else state
    note = None if written["people"] else NOBODY
    await conn.execute(update(runs).where(this).values(**written, state=following, note=note))
    await finish.settle(conn, campaign, now=now)
    if following is RunState.SENDING:
        await defer_batches(conn, plan.run_id)
        await finish.finish_if_done(conn, plan.run_id, now=now)


async def _plan(conn: AsyncConnection, run_id: int) -> Plan | None:
    statement = (
        select(*runs.c["campaign_id", "occurrence"], campaigns.c.channel, *snapshots.c["audience", "options"])
        .add_columns(schedules.c.timezone)
        .add_columns(*(cast(snapshots.c[name], Text).label(name) for name in ("compiled", "variants")))
        .join_from(runs, campaigns, campaigns.c.id == runs.c.campaign_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
        .join(schedules, schedules.c.campaign_id == runs.c.campaign_id)
        .where(runs.c.id == run_id, runs.c.state == RunState.PREPARING)
    )
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    channel = channel_named(row.channel)
    return Plan(
        run_id,
        row.campaign_id,
        ChannelKind(channel.name, channel.address_kind),
        audience.of_run(row.audience, row.occurrence),
        Options.from_json(row.options),
        read_editions(row.compiled, row.variants),
        row.occurrence,
        row.timezone,
    )


async def _cut(conn: AsyncConnection, plan: Plan, slots: Slots, context: EvaluationContext) -> Cut | Timetable:
    async with time_limit(conn, LONGEST):
        if timing.timed(plan.options):
            return await timing.timetable(conn, slots, plan.run_id, BATCH)
        people = await audience.size(conn, plan.audience, context)
    return Cut.of(plan.run_id, plan.campaign_id, people, batch_size(people), plan.options.tested)


def batch_size(people: int) -> int:
    """BATCH; of fewer people smaller ones, so that several workers have something to do."""
    return max(LEAST, min(BATCH, math.ceil(people / SHARES)))


async def _freezing(
    conn: AsyncConnection, plan: Plan, context: EvaluationContext, slots: Slots, cut: Cut | Timetable
) -> Insert:
    """One statement for everybody: who, where to, in which batch, not before when, or why not."""
    segment = plan.audience.get("holdout")
    judge = await judging(conn, plan.run_id, plan.channel, plan.options, segment, context, slots.until(context.now))
    judged = judge.judged(slots.planned, many=cut.batches > MANY).subquery("judged")
    target = select(*judged.c, cut.group(judged.c).label("group")).subquery("target")
    free = target.c.reason.is_(None)
    rows = select(
        target.c.id,
        literal(plan.run_id, BigInteger),
        literal(0, SmallInteger),
        literal(plan.campaign_id, BigInteger),
        literal(plan.channel.name, Text),
        target.c.address,
        case((free, cut.batch(target.c.id, target.c.group))),
        case((free, cut.variant(target.c.group))),
        case((free, State.QUEUED), else_=State.SKIPPED),
        target.c.reason,
        case((free, target.c.not_before)),
    )
    columns = [
        "customer_id",
        "run_id",
        "step",
        "campaign_id",
        "channel",
        "address",
        "batch",
        "variant",
        "state",
        "reason",
        "not_before",
    ]
    in_order = rows.order_by(target.c.id)  # so that the indexes grow at their end
    return upsert(messages).from_select(columns, in_order).execution_options(preserve_rowcount=True)


async def _write_links(conn: AsyncConnection, plan: Plan) -> None:
    """Where click n of this run leads."""
    fields = frozenset[str]().union(*(edition.content.click_fields for edition in plan.editions.all))
    row = upsert(link_tables).values(run_id=plan.run_id, links=plan.editions.link_templates, fields=sorted(fields))
    await conn.execute(row.on_conflict_do_nothing())

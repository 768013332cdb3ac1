"""Freezing a run: one message for everybody in the audience, those who must not be contacted born skipped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    SmallInteger,
    Subquery,
    Text,
    Update,
    case,
    cast,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, finish
from campaigns.dispatch.batch import defer_batches
from campaigns.experiments.editions import Editions, read_editions
from campaigns.experiments.share import Cut, begin
from campaigns.models import campaigns, runs, snapshots
from campaigns.options import Options
from campaigns.permission import chosen_address, chosen_addresses, with_reason
from campaigns.states import LIVE, RunState
from channels.registry import channel_named
from customers.changes import note_changed
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.house import House
from runtime.jobs import check_claim, job
from runtime.registry import ChannelKind
from segments.bucket import BUCKETS, bucket_sql
from segments.context import EvaluationContext, context_at
from segments.patterns import time_limit
from segments.speed import full_speed
from tracking.models import link_tables, messages
from tracking.states import State

log = logging.getLogger(__name__)

BATCH = 1_000
MANY = 20  # batches; from there on the addresses of all are sorted rather than looked up
LISTED = 100_000  # messages whose customers are noted one by one
LONGEST = 900.0  # seconds that the freezing statement may take
NOBODY = "the audience is empty: nobody to write to"
DUPLICATE = "duplicate_address"
HOLDOUT = "holdout"


@dataclass(frozen=True)
class Plan:
    """What freezing a run needs, from its snapshot."""

    run_id: int
    campaign_id: int
    channel: ChannelKind
    audience: audience.Stored
    options: Options
    editions: Editions


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
    await full_speed(conn)
    cut = await _cut(conn, plan, context)
    statement = await _freezing(conn, plan, context, cut)
    async with time_limit(conn, LONGEST):
        frozen = await conn.execute(statement)
    await conn.execute(_skip_duplicates(plan.run_id))
    await _note(conn, plan.run_id, frozen.rowcount)
    await begin(conn, cut, now=context.now, zone=context.zone)
    await _let_go(conn, plan, context.now, cut.batches, NOBODY if frozen.rowcount == 0 else None)


async def _note(conn: AsyncConnection, run_id: int, number: int) -> None:
    """Who got a message; a list of very many helps nobody who looks at them again."""
    written = select(messages.c.customer_id).where(messages.c.run_id == run_id)
    await note_changed(conn, "messages", written if number <= LISTED else None)


async def _let_go(conn: AsyncConnection, plan: Plan, now: datetime, batches: int, note: str | None) -> None:
    """Begin to send, or stay paused until the run is resumed."""
    campaign = await finish.lock(conn, plan.campaign_id)
    this = runs.c.id == plan.run_id
    state = RunState((await conn.execute(select(runs.c.state).where(this))).scalar_one())
    if state not in LIVE:
        raise Overtaken(f"run {plan.run_id} was {state} while it was being prepared")
    following = RunState.SENDING if state is RunState.PREPARING else state
    written = {"state": following, "frozen_at": now, "batches": batches, "note": note}
    await conn.execute(update(runs).where(this).values(**written))
    await finish.settle(conn, campaign, now=now)
    if following is RunState.SENDING:
        await defer_batches(conn, plan.run_id)
        await finish.finish_if_done(conn, plan.run_id, now=now)


async def _plan(conn: AsyncConnection, run_id: int) -> Plan | None:
    statement = (
        select(runs.c.campaign_id, campaigns.c.channel, *snapshots.c["audience", "options"])
        .add_columns(*(cast(snapshots.c[name], Text).label(name) for name in ("compiled", "variants")))
        .join_from(runs, campaigns, campaigns.c.id == runs.c.campaign_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
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
        row.audience,
        Options.from_json(row.options),
        read_editions(row.compiled, row.variants),
    )


async def _cut(conn: AsyncConnection, plan: Plan, context: EvaluationContext) -> Cut:
    async with time_limit(conn, LONGEST):
        people = await audience.size(conn, plan.audience, context)
    return Cut.of(plan.run_id, plan.campaign_id, people, BATCH, plan.options.tested)


async def _freezing(conn: AsyncConnection, plan: Plan, context: EvaluationContext, cut: Cut) -> Insert:
    """One statement for everybody: who, where to, in which batch, or why not."""
    members = (await audience.members(conn, plan.audience, context)).subquery("members")
    targets, chosen = _with_address(members, plan.channel, context.now, many=cut.batches > MANY)
    joined, barred = with_reason(targets, members.c.id, chosen.c.address, plan.channel, context.now)
    reason, slot = _reason(barred, members.c.id, plan).label("reason"), cut.slot(members.c.id).label("slot")
    judged = select(members.c.id, chosen.c.address, reason, slot)
    target = judged.select_from(joined).subquery("target")
    free = target.c.reason.is_(None)
    rows = select(
        target.c.id,
        literal(plan.run_id, BigInteger),
        literal(0, SmallInteger),
        literal(plan.campaign_id, BigInteger),
        literal(plan.channel.name, Text),
        target.c.address,
        case((free, cut.batch(target.c.id, target.c.slot))),
        case((free, cut.variant(target.c.slot))),
        case((free, State.QUEUED), else_=State.SKIPPED),
        target.c.reason,
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
    ]
    in_order = rows.order_by(target.c.id)  # so that the indexes grow at their end
    return upsert(messages).from_select(columns, in_order).execution_options(preserve_rowcount=True)


def _with_address(
    members: Subquery, channel: ChannelKind, now: datetime, *, many: bool
) -> tuple[FromClause, FromClause]:
    """`members` joined with where each may be written to."""
    if many:
        all_chosen = chosen_addresses(channel, now)
        return members.outerjoin(all_chosen, all_chosen.c.customer_id == members.c.id), all_chosen
    chosen = chosen_address(members.c.id, channel, now)
    return members.outerjoin(chosen, true()), chosen


def _reason(barred: ColumnElement[Any], customer_id: ColumnElement[int], plan: Plan) -> ColumnElement[Any]:
    """Why somebody gets nothing. The holdout is the last: it compares people who could have been written to."""
    share = round(plan.options.holdout_percent / 100 * BUCKETS)
    if share == 0:
        return barred
    return case((barred.is_not(None), barred), (bucket_sql("holdout:", customer_id) < share, HOLDOUT))


def _skip_duplicates(run_id: int) -> Update:
    """One message for an address: the customer of the lowest id keeps it.

    Ranked in one pass and then found by key: the planner knows nothing yet of rows written a moment ago, and a join by
    address would turn into a loop over all of them.
    """
    queued = (messages.c.run_id == run_id) & (messages.c.state == State.QUEUED)
    place = func.row_number().over(partition_by=messages.c.address, order_by=messages.c.customer_id).label("place")
    ranked = select(messages.c.customer_id, place).where(queued).subquery("ranked")
    later = select(ranked.c.customer_id).where(ranked.c.place > 1).subquery("later")
    return (
        update(messages)
        .where(messages.c.customer_id == later.c.customer_id, messages.c.run_id == run_id, messages.c.step == 0)
        .values(state=State.SKIPPED, reason=DUPLICATE, batch=None)
    )


async def _write_links(conn: AsyncConnection, plan: Plan) -> None:
    """Where click n of this run leads."""
    fields = frozenset[str]().union(*(edition.content.click_fields for edition in plan.editions.all))
    row = upsert(link_tables).values(run_id=plan.run_id, links=plan.editions.link_templates, fields=sorted(fields))
    await conn.execute(row.on_conflict_do_nothing())

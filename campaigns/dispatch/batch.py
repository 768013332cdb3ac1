"""The job that sends one batch, from its load to its follow-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.delivery import Delivery
from campaigns.dispatch.desk import desk, recorder_of
from campaigns.dispatch.letters import Writer
from campaigns.dispatch.queue import present_turn, rank_of
from campaigns.dispatch.verdicts import POLICY, Policy
from campaigns.dispatch.watch import Judged, Ward
from campaigns.dispatch.work import Run, Work, load_run, load_work
from campaigns.experiments.share import held_from
from campaigns.finish import finish_if_done, lock_of_run
from campaigns.halt import pause_run
from campaigns.models import runs
from campaigns.ranks import priority
from campaigns.states import RunState
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Invalid, Unavailable
from runtime.house import House
from runtime.jobs import LostClaim, Waiting, check_claim, current_claim, defer, defer_all, is_waiting, job, withdraw
from runtime.registry import ChannelKind
from runtime.settings import BadSetting
from tracking.ledger import MessageKey
from tracking.models import messages
from tracking.putting_off import put_off
from tracking.states import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How a batch ended, for its follow-up. `later`: seconds until a throttled rest may go on, `note`: why.
    `held`: messages that their domain wants later, and when."""

    accepted: int = 0
    pause: str | None = None
    down: str | None = None
    later: float | None = None
    note: str | None = None
    held: Sequence[tuple[MessageKey, datetime]] = ()


@job("campaigns.send_batch", retry=Backoff(None, timedelta(seconds=2), timedelta(minutes=1)))
async def send_batch(house: House, *, run_id: int, batch: int, waits: int = 0) -> None:
    """Send what of the batch is due. `waits`: how often in a row the mail server was down before."""
    await send(house, run_id, batch, waits=waits)


async def send(house: House, run_id: int, batch: int, *, waits: int = 0, policy: Policy = POLICY) -> None:
    """As the job; may run twice, and then finds what is left."""
    await recorder_of(house).settle()
    async with house.database.begin() as conn:
        run = await load_run(conn, run_id)
        if run is None or run.state is not RunState.SENDING or run.holds(batch):
            return
        work = await load_work(conn, run, batch, house.settings, utc_now())
    ending = await _deliver(house, work, policy) if work.due else Ending()
    try:
        async with house.database.begin() as conn:
            await check_claim(conn)
            await _follow_up(house, conn, run, batch, ending, waits, policy)
    except LostClaim as lost:
        log.warning("batch %s of run %s: %s", batch, run_id, lost)


async def defer_batches(conn: AsyncConnection, run_id: int) -> None:
    """One job for each batch that has messages left, in place of those that wait; none for an experiment's rest
    before it is decided."""
    await withdraw(conn, send_batch, "run_id", run_id)
    rank = await rank_of(conn, run_id)
    first = await present_turn(conn, send_batch.name, rank)
    held = await conn.scalar(select(held_from(run_id)))
    batches = (await conn.execute(_BATCHES_LEFT, {"run": run_id, "held": held})).scalars()
    await defer_all(
        conn,
        send_batch,
        [
            Waiting({"run_id": run_id, "batch": batch, "waits": 0}, lock_of(run_id, batch), priority(rank, turn))
            for turn, batch in enumerate(batches, first)
        ],
    )


async def _deliver(house: House, work: Work, policy: Policy) -> Ending:
    channel = work.run.channel
    addresses = {message.key.customer_id: message.address for message in work.due}
    judged = Judged(work.run.frozen_snapshot, work.run.frozen_at)
    kind = ChannelKind(channel.name, channel.address_kind)
    ward = Ward(work.run.id, kind, addresses, judged, current_claim.get(), work.courtesy)
    async with desk(house) as shared:
        try:
            writer = Writer(house, work.run, work.message_key)
            delivery = Delivery(house, shared, work, ward, writer, policy)
        except (BadSetting, Invalid) as error:  # this worker's settings differ from those at the approval
            return Ending(pause=str(error))
        with shared.watch.over(ward), closing(delivery.turns):
            async with _note_until(delivery.accepting, house, work.run):
                await delivery.run()
    tally, turns = delivery.tally, delivery.turns
    return Ending(tally.accepted, tally.pause, tally.down, turns.later, turns.note, turns.held)


async def _follow_up(
    house: House, conn: AsyncConnection, run: Run, batch: int, ending: Ending, waits: int, policy: Policy
) -> None:
    """Pause, go on later, or finish; what the run waits for is said in its note."""
    now = utc_now()
    await lock_of_run(conn, run.id)
    await put_off(conn, ending.held)
    if ending.pause is not None:
        await pause_run(conn, run.id, now=now, reason=ending.pause)
        return
    if ending.accepted or ending.note:
        await _note(conn, run.id, ending.note)
    next_at = await _next_due(conn, run.id, batch, now)
    if next_at is None:
        await finish_if_done(conn, run.id, now=now)
        return
    waits = waits + 1 if ending.down is not None and not ending.accepted else 0
    if ending.down is not None:
        next_at = policy.server_down.next_at(max(waits, 1), now) or next_at
        local = next_at.astimezone(house.settings.zone)
        await _note(conn, run.id, f"waiting: {ending.down}; next try at {local:%H:%M:%S} ({local.tzinfo})")
    next_at = max(next_at, now + timedelta(seconds=ending.later or 0.0))
    turn = await present_turn(conn, send_batch.name, run.rank)
    await _defer(conn, run.id, batch, priority(run.rank, turn), waits=waits, schedule_at=next_at)


async def _next_due(conn: AsyncConnection, run_id: int, batch: int, now: datetime) -> datetime | None:
    """When the batch has something to send again; None where nothing is left or the run does not go on."""
    going = select(runs.c.id).where(runs.c.id == run_id, runs.c.state == RunState.SENDING)
    first = select(func.min(func.coalesce(messages.c.not_before, now))).where(
        messages.c.run_id == going.scalar_subquery(), messages.c.batch == batch, messages.c.state == State.QUEUED
    )
    found: datetime | None = await conn.scalar(first)
    return found


@asynccontextmanager
async def _note_until(accepting: asyncio.Event, house: House, run: Run) -> AsyncIterator[None]:
    """What the run waited for is forgotten with the first message that is taken over, not with the end of a batch."""
    forgetting = asyncio.create_task(_forget_note(accepting, house, run.id)) if run.note is not None else None
    try:
        yield
    finally:
        if forgetting is not None:
            forgetting.cancel()  # from here on the follow-up says it
            await asyncio.wait({forgetting})


async def _forget_note(accepting: asyncio.Event, house: House, run_id: int) -> None:
    await accepting.wait()
    with suppress(Unavailable, DBAPIError):
        async with house.database.begin() as conn:
            await _note(conn, run_id, None)


async def _note(conn: AsyncConnection, run_id: int, note: str | None) -> None:
    changed = update(runs).where(runs.c.id == run_id, runs.c.note.is_distinct_from(note))
    await conn.execute(changed.values(note=note))


def lock_of(run_id: int, batch: int) -> str:
    """Of the jobs for one batch."""
    return f"batch:{run_id}:{batch}"


async def _defer(
    conn: AsyncConnection, run_id: int, batch: int, place: int, *, waits: int = 0, schedule_at: datetime | None = None
) -> None:
    """Two jobs for one batch (after a pause and a resume) run one after the other, and only one of them waits.

    `place`: its priority in the queue. The caller holds the campaign's lock.
    """
    lock = lock_of(run_id, batch)
    if not await is_waiting(conn, lock):
        await defer(
            conn,
            send_batch,
            lock=lock,
            schedule_at=schedule_at,
            priority=place,
            run_id=run_id,
            batch=batch,
            waits=waits,
        )


# Each batch is asked for one message: as a rule the first one seen is such a one.
_BATCHES_LEFT = text("""
    SELECT number FROM runs CROSS JOIN generate_series(0, coalesce(CAST(:held AS integer), batches) - 1) AS number
        CROSS JOIN LATERAL (
            SELECT FROM messages WHERE run_id = runs.id AND batch = number AND state = 'queued' LIMIT 1) AS left_over
    WHERE runs.id = :run ORDER BY number
""")

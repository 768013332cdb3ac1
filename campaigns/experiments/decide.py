"""The decision of a run's test, at its due time or by hand, and what follows from it: the rest goes out, or does not.

Decision and queueing are one transaction, and whoever comes second finds it decided.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.apart import apart
from campaigns.dispatch.batch import defer_batches
from campaigns.experiments.numbers import tallies
from campaigns.experiments.plan import Experiment
from campaigns.experiments.share import DECIDED, STOPPED, TESTING
from campaigns.experiments.verdict import How, Tally, Verdict, judge
from campaigns.finish import finish_if_done, lock
from campaigns.models import experiments, runs, snapshots
from campaigns.options import Options
from campaigns.states import RunState
from runtime.errors import Conflict, Invalid, Problem
from runtime.house import House
from runtime.leader import Term
from runtime.scheduler import tick
from tracking.ledger import cancel_queued
from tracking.models import messages
from tracking.states import OPEN, State

log = logging.getLogger(__name__)

STOPPED_WORDS = "the test was stopped"

_AT_ONCE = 100
_STRAGGLERS = 0.05  # of a test; so many may still be tried again when it is decided
_LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Test:
    """A run whose test is undecided; nobody else decides it, or moves its campaign, until the transaction ends."""

    run_id: int
    campaign_id: int
    state: RunState
    frozen_at: datetime
    held_from: int
    experiment: Experiment

    def number(self, name: str) -> int:
        """Of the variant of that name. Raises Invalid."""
        names = [variant.name for variant in self.experiment.variants]
        if name not in names:
            raise Invalid(Problem("variant", f"there is no variant {name!r}; there are: {', '.join(names)}"))
        return names.index(name)


@tick(every=timedelta(seconds=5))
async def decide_due(house: House, term: Term, now: datetime) -> None:
    """Decide the tests whose time has come, one transaction each. Raises NotLeader when the term is over."""
    async with house.database.connect() as conn:
        found = (await conn.execute(_due(now).limit(_AT_ONCE))).all()
    for run_id, campaign_id in found:
        async with apart(house, term, campaign_id) as conn:
            await decide(conn, campaign_id, run_id, now=now, zone=house.settings.zone)


async def decide(
    conn: AsyncConnection, campaign_id: int, run_id: int, *, now: datetime, zone: ZoneInfo
) -> Verdict | None:
    """Decide by the numbers if it is time; None where it is not, or was done. The wait counts from when (nearly) all
    of the test is out."""
    for test in await _tests(conn, campaign_id, run_id):
        due_at = await _ripe_at(conn, test, now)
        if due_at > now:
            await conn.execute(update(experiments).where(experiments.c.run_id == run_id).values(due_at=due_at))
            return None
        return await _by_numbers(conn, test, None, now, zone)
    return None


async def decide_now(
    conn: AsyncConnection, campaign_id: int, variant: str | None, *, by: str, now: datetime, zone: ZoneInfo
) -> None:
    """End the test early: for `variant`, by name, or (None) by the numbers as they stand.

    Raises NotFound, Conflict where nothing is tested, Invalid for an unknown variant.
    """
    for test in await _under_way(conn, campaign_id):
        if variant is None:
            await _by_numbers(conn, test, by, now, zone)
        else:
            verdict = Verdict(test.number(variant), How.BY_HAND, None, None)
            await _write(conn, test, DECIDED, verdict, await _numbers(conn, test), by, now)
            await _release(conn, test, verdict.winner, now, zone)


async def stop(conn: AsyncConnection, campaign_id: int, *, by: str, now: datetime) -> None:
    """End the test without a winner: the rest gets nothing. Raises NotFound, Conflict where nothing is tested."""
    for test in await _under_way(conn, campaign_id):
        await _write(conn, test, STOPPED, None, await _numbers(conn, test), by, now)
        await cancel_queued(conn, test.run_id, reason=STOPPED_WORDS, from_batch=test.held_from)
        await finish_if_done(conn, test.run_id, now=now)


def _due(now: datetime) -> Select[Any]:
    """Runs whose test may be decided, first due first; of paused ones the decision waits."""
    going = runs.c.state.in_([RunState.SENDING, RunState.FINISHED])
    statement = select(experiments.c.run_id, experiments.c.campaign_id).join(runs, runs.c.id == experiments.c.run_id)
    statement = statement.where(experiments.c.state == TESTING, experiments.c.due_at <= now, going)
    return statement.order_by(experiments.c.due_at)


async def _under_way(conn: AsyncConnection, campaign_id: int) -> Sequence[Test]:
    found = await _tests(conn, campaign_id)
    if not found:
        raise Conflict(f"campaign {campaign_id} has no test that is under way")
    return found


async def _tests(conn: AsyncConnection, campaign_id: int, run_id: int | None = None) -> list[Test]:
    """The undecided tests of a campaign (of one run), locked with it. Raises NotFound."""
    await lock(conn, campaign_id)
    alive = (RunState.SENDING, RunState.PAUSED, RunState.FINISHED)
    statement = (
        select(experiments.c.run_id, experiments.c.held_from, *runs.c["state", "frozen_at"], snapshots.c.options)
        .join_from(experiments, runs, runs.c.id == experiments.c.run_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
        .where(experiments.c.campaign_id == campaign_id, experiments.c.state == TESTING, runs.c.state.in_(alive))
        .order_by(experiments.c.run_id)
    )
    if run_id is not None:
        statement = statement.where(experiments.c.run_id == run_id)
    return [
        Test(row.run_id, campaign_id, RunState(row.state), row.frozen_at, row.held_from, tested)
        for row in await conn.execute(statement)
        if (tested := Options.from_json(row.options).tested) is not None
    ]


async def _ripe_at(conn: AsyncConnection, test: Test, now: datetime) -> datetime:
    """When the test can be decided: the wait after all but stragglers went out."""
    tested = (messages.c.run_id == test.run_id) & messages.c.variant.is_not(None)
    most = func.percentile_disc(1 - _STRAGGLERS).within_group(messages.c.sent_at)
    statement = select(func.count().filter(messages.c.state.in_(OPEN)), func.count(), most).where(tested)
    left, total, sent_by = (await conn.execute(statement.where(messages.c.state != State.SKIPPED))).one()
    if left > _STRAGGLERS * total:
        return now + _LOOK_AGAIN
    return now if sent_by is None else max(now, sent_by + test.experiment.wait)


async def _by_numbers(conn: AsyncConnection, test: Test, by: str | None, now: datetime, zone: ZoneInfo) -> Verdict:
    found = await _numbers(conn, test)
    verdict = judge(test.experiment, found)
    await _write(conn, test, DECIDED, verdict, found, by, now)
    await _release(conn, test, verdict.winner, now, zone)
    log.info("campaign %s: run %s gets variant %s (%s)", test.campaign_id, test.run_id, verdict.winner, verdict.how)
    return verdict


async def _numbers(conn: AsyncConnection, test: Test) -> list[Tally]:
    found = (await tallies(conn, [test.run_id]))[test.run_id]
    return [found.get(number, Tally()) for number in range(len(test.experiment.variants))]


async def _write(
    conn: AsyncConnection,
    test: Test,
    state: str,
    verdict: Verdict | None,
    numbers: Sequence[Tally],
    by: str | None,
    now: datetime,
) -> None:
    known = {"leader": verdict and verdict.leader, "p": verdict and verdict.p}
    values = {
        "state": state,
        "winner": verdict and verdict.winner,
        "how": How.STOPPED if verdict is None else verdict.how,
        "decided_at": now,
        "decided_by": by,
        "numbers": {**known, "variants": [asdict(tally) for tally in numbers]},
    }
    await conn.execute(update(experiments).where(experiments.c.run_id == test.run_id).values(**values))


async def _release(conn: AsyncConnection, test: Test, winner: int, now: datetime, zone: ZoneInfo) -> None:
    """Queue the rest; of a paused run that is left to its resuming."""
    at = test.experiment.rest_starts(winner, test.frozen_at, now, zone)
    if at is not None:
        rest = (messages.c.run_id == test.run_id) & (messages.c.batch >= test.held_from)
        later = func.greatest(messages.c.not_before, at)
        await conn.execute(update(messages).where(rest, messages.c.state == State.QUEUED).values(not_before=later))
    if test.state is RunState.SENDING:
        await defer_batches(conn, test.run_id)
        await finish_if_done(conn, test.run_id, now=now)

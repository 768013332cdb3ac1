"""How a run's messages are cut into batches, and in an experiment into variants and the rest that waits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, SmallInteger, case, cast, func, literal, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.experiments.plan import Experiment
from campaigns.models import experiments
from segments.bucket import bucket_sql
from tracking.models import messages

TESTING, DECIDED, STOPPED = "testing", "decided", "stopped"
NEIGHBOURS = 16  # customers of adjacent ids share a batch, as their rows share pages: a fifth of the database's work


@dataclass(frozen=True)
class Cut:
    """`batches` in all; those from `held_from` on are of an experiment's rest, and wait."""

    run_id: int
    campaign_id: int
    batches: int
    held_from: int
    experiment: Experiment | None

    @classmethod
    def of(cls, run_id: int, campaign_id: int, people: int, size: int, experiment: Experiment | None) -> Cut:
        """For an audience of `people`, about `size` messages a batch."""
        if experiment is None:
            batches = max(1, math.ceil(people / size))
            return cls(run_id, campaign_id, batches, batches, None)
        share = experiment.test_percent / 100
        test, rest = max(1, math.ceil(people * share / size)), math.ceil(people * (1 - share) / size)
        return cls(run_id, campaign_id, test + rest, test, experiment)

    def group(self, member: Any) -> ColumnElement[Any]:
        """Which variant somebody falls to, for `batch` and `variant`. `member`: columns with an `id`."""
        if self.experiment is None:
            return null()
        return self.experiment.slot_sql(self.campaign_id, member.id)

    def batch(self, customer_id: ColumnElement[int], slot: ColumnElement[Any]) -> ColumnElement[int]:
        if self.experiment is None or self.held_from == self.batches:
            return self._among(customer_id, self.batches)
        rest = literal(self.held_from) + self._among(customer_id, self.batches - self.held_from)
        return case((slot < len(self.experiment.variants), self._among(customer_id, self.held_from)), else_=rest)

    def variant(self, slot: ColumnElement[Any]) -> ColumnElement[Any]:
        """NULL for the rest."""
        if self.experiment is None:
            return cast(null(), SmallInteger)
        return cast(func.nullif(slot, len(self.experiment.variants)), SmallInteger)

    def _among(self, customer_id: ColumnElement[int], batches: int) -> ColumnElement[int]:
        return bucket_sql(f"batch:{self.run_id}:", customer_id // NEIGHBOURS, batches)


async def begin(conn: AsyncConnection, cut: Cut, *, now: datetime, zone: ZoneInfo) -> None:
    """Let the test of a run that was just frozen begin; nothing for a campaign without an experiment."""
    if cut.experiment is None:
        return
    due_at = cut.experiment.last_start(now, zone) + cut.experiment.wait
    row = {"run_id": cut.run_id, "campaign_id": cut.campaign_id, "held_from": cut.held_from, "due_at": due_at}
    await conn.execute(insert(experiments).values(**row, state=TESTING).on_conflict_do_nothing())
    if cut.experiment.timed:
        starts = [variant.starts(now, zone) for variant in cut.experiment.variants]
        own = case(*((messages.c.variant == number, start) for number, start in enumerate(starts)))
        tested = (messages.c.run_id == cut.run_id) & messages.c.variant.is_not(None)
        await conn.execute(update(messages).where(tested).values(not_before=func.greatest(messages.c.not_before, own)))


def held_from(run_id: ColumnElement[int] | int) -> ColumnElement[int]:
    """The batch from which on a run's messages wait for the decision; NULL where none do."""
    test = experiments.alias("test")
    return select(test.c.held_from).where(test.c.run_id == run_id, test.c.state == TESTING).scalar_subquery()

"""The tests of a campaign as reports show them: each variant's numbers with their intervals, and what was decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.experiments.numbers import tallies
from campaigns.experiments.plan import Experiment
from campaigns.experiments.statistics import Interval
from campaigns.experiments.verdict import Tally
from campaigns.models import experiments, runs, snapshots
from campaigns.options import Options
from tracking.models import messages
from tracking.states import State

MOST = 20  # of a campaign that is repeated


@dataclass(frozen=True)
class Tallied:
    """What takes counting of a campaign's tests. `tallies`: by run and variant, None: the rest; `waiting`: by run, how
    many of the rest are still to be sent."""

    tallies: Mapping[int, Mapping[int | None, Tally]]
    waiting: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal value back."""
        lines = [[run, variant, asdict(tally)] for run, own in self.tallies.items() for variant, tally in own.items()]
        return {"tallies": lines, "waiting": [[run_id, people] for run_id, people in self.waiting.items()]}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Tallied:
        found: dict[int, dict[int | None, Tally]] = {}
        for run_id, variant, tally in kept["tallies"]:
            found.setdefault(run_id, {})[variant] = Tally(**tally)
        return cls(found, dict(kept["waiting"]))


@dataclass(frozen=True)
class Named:
    """The variants of a run. `winner`: the number of what the rest gets, None before that is decided."""

    names: Sequence[str]
    winner: int | None

    def of(self, variant: int | None) -> str | None:
        """What a message of that number has; None of the rest: what won."""
        number = self.winner if variant is None else variant
        return None if number is None else self.names[number]


async def outcomes(conn: AsyncConnection, campaign_id: int, counted: Tallied | None = None) -> list[dict[str, Any]]:
    """Of each run that tests, the latest first: see `Outcome` of the API. Numbers as of now, or as they were counted
    before; what was decided always as of now."""
    statement = (
        select(experiments, snapshots.c.options, runs.c.occurrence, runs.c.state.label("run_state"))
        .join_from(experiments, runs, runs.c.id == experiments.c.run_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
        .where(experiments.c.campaign_id == campaign_id)
        .order_by(experiments.c.run_id.desc())
        .limit(MOST)
    )
    rows = (await conn.execute(statement)).all()
    known = counted or await _tallied(conn, [row.run_id for row in rows])
    return [_outcome(row, known.tallies.get(row.run_id, {}), known.waiting.get(row.run_id, 0)) for row in rows]


async def tallied(conn: AsyncConnection, campaign_id: int) -> Tallied:
    """Of the runs that `outcomes` tells of."""
    latest = select(experiments.c.run_id).where(experiments.c.campaign_id == campaign_id)
    run_ids = (await conn.execute(latest.order_by(experiments.c.run_id.desc()).limit(MOST))).scalars()
    return await _tallied(conn, list(run_ids))


async def editions_of_runs(conn: AsyncConnection, run_ids: Collection[int]) -> dict[int, Named]:
    """The variants of each of these runs that tests."""
    statement = (
        select(experiments.c.run_id, experiments.c.winner, snapshots.c.options)
        .join_from(experiments, runs, runs.c.id == experiments.c.run_id)
        .join(snapshots, snapshots.c.id == runs.c.snapshot_id)
        .where(experiments.c.run_id.in_(run_ids))
    )
    found = {}
    for row in await conn.execute(statement):
        plan = Options.from_json(row.options).tested
        assert plan is not None
        found[row.run_id] = Named([variant.name for variant in plan.variants], row.winner)
    return found


async def _tallied(conn: AsyncConnection, run_ids: list[int]) -> Tallied:
    if not run_ids:
        return Tallied({}, {})
    return Tallied(await tallies(conn, run_ids), await _waiting(conn, run_ids))


async def _waiting(conn: AsyncConnection, run_ids: list[int]) -> dict[int, int]:
    """How many of the rest are still to be sent."""
    rest = messages.c.run_id.in_(run_ids) & messages.c.variant.is_(None) & (messages.c.state == State.QUEUED)
    counted = select(messages.c.run_id, func.count()).where(rest).group_by(messages.c.run_id)
    return {row[0]: row[1] for row in await conn.execute(counted)}


def _outcome(row: Row[Any], found: Mapping[int | None, Tally], waiting: int) -> dict[str, Any]:
    plan = Options.from_json(row.options).tested
    assert plan is not None
    names = [variant.name for variant in plan.variants]
    known = row.numbers or {}
    return {
        "run_id": row.run_id,
        "occurrence": row.occurrence,
        "state": row.state,
        "due_at": row.due_at,
        "goal": plan.winner,
        "test_percent": plan.test_percent,
        "significance": plan.significance,
        "fallback": plan.fallback,
        "winner": None if row.winner is None else names[row.winner],
        "how": row.how,
        "leader": None if known.get("leader") is None else names[known["leader"]],
        "p": known.get("p"),
        "decided_at": row.decided_at,
        "decided_by": row.decided_by,
        "decided_on": [
            {"name": name, **numbers} for name, numbers in zip(names, known.get("variants", []), strict=False)
        ],
        "variants": [_numbers(name, found.get(place, Tally()), plan) for place, name in enumerate(names)],
        "rest": {"waiting": waiting, **_numbers(None, found.get(None, Tally()), plan)},
        "decidable": row.state == "testing" and row.run_state in ("sending", "paused", "finished"),
    }


def _numbers(name: str | None, tally: Tally, plan: Experiment) -> dict[str, Any]:
    level = plan.significance / 100
    return {
        "name": name,
        "sent": tally.sent,
        "opened": tally.opened,
        "clicked": tally.clicked,
        "orders": tally.orders,
        "buyers": tally.buyers,
        "revenue": f"{tally.revenue:.2f}",
        "open_rate": _interval(tally.result("opens", level)),
        "click_rate": _interval(tally.result("clicks", level)),
        "revenue_per_recipient": _interval(tally.result("revenue", level)),
    }


def _interval(found: Interval) -> dict[str, float]:
    return dict(vars(found))

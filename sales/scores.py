"""A salesperson's monthly score, out of 100, from their own customers; all salespeople at once.

A part's value is a share of records that count (sales/facts.py); for conversion and margin it is a ratio to what
matched households brought elsewhere (sales/matching.py; 1: as much as those), or, where nobody can be compared, the
share, the money. A part earns its weight in points when it reaches the target, and in proportion below. Weights are
the same for everybody in a month: a part that can be measured for nobody is left out and its weight spread over the
others. Where it can be measured for others only, a salesperson's value is missing and earns nothing: nobody is better
off for clicks that never came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import salespeople
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Problem
from sales.facts import MATCHED, PARTS
from sales.measures import PLAIN, RATIO, Frame, Measures, frame_of, nothing_of, value_of
from sales.models import score_weights
from sales.months import counted_anew, kept_of, month
from sales.period import Period


@dataclass(frozen=True)
class Weight:
    """`target`: the value that earns full points."""

    weight: Decimal
    target: Decimal


DEFAULTS: Mapping[str, Weight] = {
    "coverage": Weight(Decimal(20), Decimal("0.9")),
    "freshness": Weight(Decimal(10), Decimal("0.8")),
    "response": Weight(Decimal(20), Decimal("0.9")),
    "conversion": Weight(Decimal(15), Decimal("1.2")),
    "margin": Weight(Decimal(15), Decimal("1.2")),
    "satisfaction": Weight(Decimal(10), Decimal("0.9")),
    "growth": Weight(Decimal(10), Decimal("0.02")),
}
PLAIN_TARGETS: Mapping[str, Decimal] = {"conversion": Decimal("0.1"), "margin": Decimal(20_000)}
"""Targets of the matched parts in a month in which nobody can be compared."""

MOST_WEIGHT = 100


@dataclass(frozen=True)
class Part:
    """One part of a score. `value` None: there was nothing to measure. `counted` of `total` records count; for margin
    the others have no known cost. `expected`: what matched households would have brought, where `method` is RATIO;
    `share`: what those bring whom a campaign held out, of what it brings from those written to, where that is known."""

    name: str
    value: Decimal | None
    target: Decimal
    weight: Decimal
    points: Decimal
    counted: int
    total: int
    method: str = PLAIN
    actual: Decimal | None = None
    expected: Decimal | None = None
    share: Decimal | None = None


@dataclass(frozen=True)
class Score:
    """`score` None: nothing could be measured for anybody. `rank` is 1 for the best; equal scores share it."""

    salesperson_id: int
    code: str
    name: str | None
    customers: int
    score: Decimal | None
    parts: Sequence[Part]
    rank: int


async def score(
    conn: AsyncConnection, salesperson_id: int, period: Period, now: datetime | None = None, *, lately: bool = False
) -> Score:
    """One salesperson's score and their place among all. `lately`: the others as they stood some minutes ago. Raises
    NotFound."""
    code = await conn.scalar(select(salespeople.c.code).where(salespeople.c.id == salesperson_id))
    for found in await ranking(conn, period, now, lately=lately, anew=code):
        if found.salesperson_id == salesperson_id:
            return found
    raise NotFound(f"there is no salesperson {salesperson_id}")


async def ranking(
    conn: AsyncConnection,
    period: Period,
    now: datetime | None = None,
    *,
    weights: Mapping[str, Weight] | None = None,
    lately: bool = False,
    anew: str | None = None,
) -> list[Score]:
    """Every salesperson's score, the best first. `weights`: other than the workspace's, to see their effect. `lately`:
    as they stood some minutes ago will do, but for the records of the salesperson `anew`."""
    now = now or utc_now()
    measures = await month(conn, period, now, lately=lately)
    if lately and anew is not None:
        measures = await counted_anew(conn, period, now, measures, anew)
    people = (await conn.execute(select(salespeople.c.id, salespeople.c.code, salespeople.c.name))).all()
    found = [(row, measures.get(row.code) or nothing_of(row.code)) for row in people]
    frame = frame_of([each for _, each in found])
    shared = _shared_out(weights or await weights_of(conn), frame)
    scored = [(row, each, _parts(each, shared, frame.methods)) for row, each in found]
    points = [_sum(parts) for _, _, parts in scored]
    ordered = sorted(points)
    scores = [
        Score(row.id, row.code, row.name, each.customers, own if shared else None, parts, _place(own, ordered))
        for (row, each, parts), own in zip(scored, points, strict=True)
    ]
    return sorted(scores, key=lambda each: (each.rank, each.code))


async def trend(conn: AsyncConnection, code: str, names: Sequence[str]) -> dict[str, Decimal | None]:
    """A salesperson's scores of the months of these names, of what is kept of them; None where nothing is."""
    weights, found = await weights_of(conn), dict[str, Decimal | None].fromkeys(names)
    for name, (measures, frame) in (await kept_of(conn, code, names)).items():
        shared = _shared_out(weights, frame)
        found[name] = _sum(_parts(measures, shared, frame.methods)) if shared else None
    return found


async def weights_of(conn: AsyncConnection) -> dict[str, Weight]:
    """Weights and targets of the workspace; a part without a row has its default."""
    rows = await conn.execute(select(score_weights.c.part, score_weights.c.weight, score_weights.c.target))
    own = {row.part: Weight(row.weight, row.target) for row in rows}
    return {name: own.get(name, DEFAULTS[name]) for name in PARTS}


async def save_weights(conn: AsyncConnection, weights: Mapping[str, Weight]) -> None:
    """Let these count from now on, for closed months too. Raises Invalid by `weight.<part>` and `target.<part>`."""
    check_weights(weights)
    await conn.execute(delete(score_weights))
    rows = [{"part": name, "weight": each.weight, "target": each.target} for name, each in weights.items()]
    await conn.execute(insert(score_weights), rows)


def check_weights(weights: Mapping[str, Weight]) -> None:
    """Raises Invalid naming each culprit."""
    problems = []
    for name, each in weights.items():
        if name not in PARTS:
            problems.append(Problem(name, f"is no part of a score: {', '.join(PARTS)}"))
        if not 0 <= each.weight <= MOST_WEIGHT:
            problems.append(Problem(f"weight.{name}", f"must be from 0 to {MOST_WEIGHT}"))
        if not 0 < each.target < 10**9:
            problems.append(Problem(f"target.{name}", "must be more than 0"))
    if not any(each.weight > 0 for each in weights.values()):
        problems.append(Problem("weight.coverage", "some part must have a weight"))
    if problems:
        raise Invalid(problems)


def _shared_out(weights: Mapping[str, Weight], frame: Frame) -> dict[str, Weight]:
    """The weights of the parts that can be measured, made to add up to 100; targets as the method has them."""
    total = sum((weights[name].weight for name in frame.measured), Decimal(0))
    if not total:
        return {}
    return {
        name: Weight(
            weight.weight * 100 / total if name in frame.measured else Decimal(0),
            _target(name, weight, frame.methods[name]),
        )
        for name, weight in weights.items()
    }


def _target(name: str, weight: Weight, method: str) -> Decimal:
    return PLAIN_TARGETS[name] if name in MATCHED and method == PLAIN else weight.target


def _parts(measures: Measures, weights: Mapping[str, Weight], methods: Mapping[str, str]) -> list[Part]:
    return [_part(name, measures, weights.get(name), methods) for name in PARTS]


def _part(name: str, measures: Measures, weight: Weight | None, methods: Mapping[str, str]) -> Part:
    weight = weight or Weight(Decimal(0), _target(name, DEFAULTS[name], methods[name]))
    value, count = value_of(name, measures, methods), measures.counts[name]
    share = (value or Decimal(0)) / weight.target
    points = Decimal(0) if value is None else weight.weight * min(max(share, Decimal(0)), Decimal(1))
    return Part(
        name,
        value,
        weight.target,
        _rounded(weight.weight),
        _rounded(points),
        count.counted,
        count.total,
        methods[name],
        count.actual,
        count.expected if methods[name] == RATIO else None,
        count.share if methods[name] == RATIO else None,
    )


def _sum(parts: Sequence[Part]) -> Decimal:
    return sum((part.points for part in parts), Decimal(0))


def _place(own: Decimal, ordered: Sequence[Decimal]) -> int:
    """1 for the best; those with as many points share it."""
    return 1 + len(ordered) - bisect_right(ordered, own)


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"))

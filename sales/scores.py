"""A salesperson's monthly score, out of 100, from their own customers; all salespeople at once.

A part's value is a share (coverage, engagement, conversion) or money (margin); it earns its weight in points when
it reaches the target, and in proportion below. Weights are the same for everybody in a month: a part that can be
measured for nobody (no campaign ran) is left out and its weight spread over the others. Where it can be measured
for others only, a salesperson's value is missing and earns nothing: nobody is better off for clicks that never
came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import NotFound
from sales.facts import OWN, PARTS, RECORDS
from sales.models import score_weights
from sales.period import Period


@dataclass(frozen=True)
class Weight:
    """`target`: the value that earns full points."""

    weight: Decimal
    target: Decimal


DEFAULTS: Mapping[str, Weight] = {
    "coverage": Weight(Decimal(30), Decimal("0.9")),
    "engagement": Weight(Decimal(25), Decimal("0.3")),
    "conversion": Weight(Decimal(25), Decimal("0.1")),
    "margin": Weight(Decimal(20), Decimal(20_000)),
}


@dataclass(frozen=True)
class Part:
    """One part of a score. `value` None: there was nothing to measure. `counted` of `total` records count; for margin
    the others have no known cost."""

    name: str
    value: Decimal | None
    target: Decimal
    weight: Decimal
    points: Decimal
    counted: int
    total: int


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


async def score(conn: AsyncConnection, salesperson_id: int, period: Period) -> Score:
    """One salesperson's score and their place among all. Raises NotFound."""
    for found in await ranking(conn, period):
        if found.salesperson_id == salesperson_id:
            return found
    raise NotFound(f"there is no salesperson {salesperson_id}")


async def ranking(conn: AsyncConnection, period: Period) -> list[Score]:
    """Every salesperson's score, the best first."""
    rows = (await conn.execute(_MEASURE, {"start": period.start, "end": period.end})).all()
    weights = _shared_out(
        await weights_of(conn), {name for name in PARTS if any(_value(name, row) is not None for row in rows)}
    )
    scored = [(row, _parts(row, weights)) for row in rows]
    points = [sum((part.points for part in parts), Decimal(0)) for _, parts in scored]
    found = [
        Score(
            row.id, row.code, row.name, row.customers, own if weights else None, parts, 1 + sum(p > own for p in points)
        )
        for (row, parts), own in zip(scored, points, strict=True)
    ]
    return sorted(found, key=lambda each: (each.rank, each.code))


async def weights_of(conn: AsyncConnection) -> dict[str, Weight]:
    """Weights and targets of the workspace; a part without a row has its default."""
    rows = await conn.execute(select(score_weights.c.part, score_weights.c.weight, score_weights.c.target))
    own = {row.part: Weight(row.weight, row.target) for row in rows}
    return {name: own.get(name, DEFAULTS[name]) for name in PARTS}


def _shared_out(weights: Mapping[str, Weight], measured: set[str]) -> dict[str, Weight]:
    """The weights of the parts that can be measured, made to add up to 100."""
    total = sum((weights[name].weight for name in measured), Decimal(0))
    if not total:
        return {}
    return {
        name: Weight(weight.weight * 100 / total if name in measured else Decimal(0), weight.target)
        for name, weight in weights.items()
    }


def _parts(row: Any, weights: Mapping[str, Weight]) -> list[Part]:
    return [_part(name, row, weights.get(name, Weight(Decimal(0), DEFAULTS[name].target))) for name in PARTS]


def _part(name: str, row: Any, weight: Weight) -> Part:
    value = _value(name, row)
    share = Decimal(1) if weight.target <= 0 else (value or Decimal(0)) / weight.target
    points = Decimal(0) if value is None else weight.weight * min(max(share, Decimal(0)), Decimal(1))
    counted, total = getattr(row, f"{name}_counted"), getattr(row, f"{name}_total")
    return Part(name, value, weight.target, _rounded(weight.weight), _rounded(points), counted, total)


def _value(name: str, row: Any) -> Decimal | None:
    """A share of records that count; for margin the money, none without any order."""
    counted, total = getattr(row, f"{name}_counted"), getattr(row, f"{name}_total")
    if name == "margin":
        return row.margin if counted else Decimal(0) if not total and row.customers else None
    return Decimal(counted) / total if total else None


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.01"))


def _counting(name: str) -> str:
    amount = ", sum(amount) FILTER (WHERE counts) AS amount" if name == "margin" else ""
    return f"""
        LEFT JOIN (
            SELECT salesperson, count(*) AS total, count(*) FILTER (WHERE counts) AS counted{amount}
            FROM ({RECORDS[name]}) records GROUP BY salesperson
        ) {name} ON {name}.salesperson = s.code
    """  # noqa: S608 -- put together from this room's own words


_COLUMNS = ", ".join(
    f"coalesce({name}.counted, 0) AS {name}_counted, coalesce({name}.total, 0) AS {name}_total" for name in PARTS
)
_MEASURE = text(f"""
    WITH {OWN}
    SELECT s.id, s.code, s.name, coalesce(mine.customers, 0) AS customers, margin.amount AS margin, {_COLUMNS}
    FROM salespeople s
    LEFT JOIN (SELECT salesperson, count(*) AS customers FROM own GROUP BY 1) mine ON mine.salesperson = s.code
    {"".join(map(_counting, PARTS))}
    ORDER BY s.code
""")  # noqa: S608

"""What is seen while a rule is written: an estimate at once, what each condition leaves, how two rules overlap.

The estimate asks a sample of the customers; funnel and overlap are exact, by the compiler that counts. A rule is taken
as every verb of `segments.engine` takes it. `salesperson` (a code) narrows the answers to that salesperson's customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from time import perf_counter
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    and_,
    any_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from segments import engine
from segments.context import EvaluationContext
from segments.engine import Prepared
from segments.predicates import Condition
from segments.tree import Group, Rule

SMALL = 20_000
"""Up to so many customers are counted, not estimated."""

_FIRST, _MORE = 1_000, 3_000
_WORTH = 4  # fewer than this part of the first are not worth another question
_MOST_DRAWN = 60_000
_MEMORY = "128MB"  # for the people of each condition, side by side
_SURE = 2.0  # standard deviations: the range holds the true number 19 times in 20
_QUITE_SURE = 3.3


@dataclass(frozen=True)
class Estimate:
    """About how many belong: between `low` and `high` 19 times in 20, by `sampled` customers; or `exact`."""

    count: int
    low: int
    high: int
    sampled: int
    exact: bool


@dataclass(frozen=True)
class Step:
    """A condition at the top of a rule, by its path.

    `kept`: how many are left after it and those before it (in `any`: have come in by then). `alone`: for how many it
    holds by itself. `without`: how many would belong if it were not there.
    """

    path: str
    kept: int
    alone: int
    without: int


@dataclass(frozen=True)
class Funnel:
    """From `everyone` down to `count` members, step by step."""

    everyone: int
    count: int
    steps: list[Step]


@dataclass(frozen=True)
class Overlap:
    """How many belong to the first rule alone, to both, to the second alone."""

    only_a: int
    both: int
    only_b: int


@dataclass(frozen=True)
class _Drawn:
    """Customers drawn by random ids: `ids` of a `span` were tried, `rows` of them are there, `hits` belong."""

    span: int
    ids: int = 0
    rows: int = 0
    hits: int = 0


async def estimate(
    conn: AsyncConnection,
    rule: object,
    context: EvaluationContext,
    *,
    seed: int = 0,
    seconds: float = 0.1,
    small: int = SMALL,
    salesperson: str | None = None,
) -> Estimate:
    """About how many belong, within about `seconds`: a thousand customers are asked, and more while there is time.

    The same `seed` draws the same customers, so that the number moves with the rule alone. Where there are no more than
    `small` customers, and for a salesperson's own, all are counted at once.
    """
    prepared = await engine.prepare(conn, rule, context)
    if salesperson is not None or await _are_few(conn, small):
        number = await engine.count(conn, prepared, context, salesperson=salesperson)
        return Estimate(number, number, number, number, exact=True)
    first, last, recorded = await _extent(conn)
    density = min(1.0, recorded / (last - first + 1)) if recorded > 0 else 1.0
    ids = _random_ids(Random(seed), first, last, int((_FIRST + _MORE) / density))  # noqa: S311
    return _scaled(await _draw(conn, prepared, context, ids, last - first + 1, seconds), recorded)


async def funnel(
    conn: AsyncConnection, rule: object, context: EvaluationContext, *, salesperson: str | None = None
) -> Funnel:
    """What each condition at the top of the rule does, in one pass over the customers."""
    prepared = await engine.prepare(conn, rule, context)
    top = prepared.rule if isinstance(prepared.rule, Group) else Group("all", (prepared.rule,))
    kinds = [_column(prepared, node, index) for index, node in enumerate(top.rules)]
    combined = _combinations(kinds, salesperson)
    held = [combined.c[f"c{index}"] for index in range(len(kinds))]
    asked: list[Any] = [true(), _together(top.kind, held)]
    for index in range(len(held)):
        rest = held[:index] + held[index + 1 :]
        asked += [_together(top.kind, held[: index + 1]), held[index], _together(top.kind, rest)]
    await conn.execute(select(func.set_config("work_mem", _MEMORY, True)))  # for this transaction
    async with engine.limited(conn, prepared):
        everyone, count, *found = (await conn.execute(_sums(combined, asked))).one()
    steps = [Step(node.path, *found[3 * index : 3 * index + 3]) for index, node in enumerate(top.rules)]
    return Funnel(everyone, count, steps)


async def overlap(
    conn: AsyncConnection, a: object, b: object, context: EvaluationContext, *, salesperson: str | None = None
) -> Overlap:
    """How two rules share their members: each side is found as it is counted, then they are laid side by side."""
    first, second = await engine.prepare(conn, a, context), await engine.prepare(conn, b, context)
    left, right = (_ids(one, salesperson).subquery(name) for one, name in ((first, "a"), (second, "b")))
    in_left, in_right = left.c.id.is_not(None), right.c.id.is_not(None)
    parts = (and_(in_left, ~in_right), and_(in_left, in_right), and_(~in_left, in_right))
    statement = select(*(func.count().filter(part) for part in parts)).select_from(
        left.outerjoin(right, left.c.id == right.c.id, full=True)
    )
    async with engine.limited(conn, first), engine.limited(conn, second):
        found = (await conn.execute(statement)).one()
    return Overlap(found[0], found[1], found[2])


async def _are_few(conn: AsyncConnection, small: int) -> bool:
    some = select(customers.c.id).limit(small + 1).subquery()
    return (await conn.execute(select(func.count()).select_from(some))).scalar_one() <= small


async def _extent(conn: AsyncConnection) -> tuple[int, int, int]:
    """The first and the last id of a customer, and how many rows the database believes there are (-1: no idea)."""
    believed = text("SELECT reltuples::bigint AS rows FROM pg_class WHERE oid = 'customers'::regclass")
    recorded = believed.columns(rows=BigInteger).scalar_subquery()
    ends = select(func.min(customers.c.id), func.max(customers.c.id), recorded)
    first, last, rows = (await conn.execute(ends)).one()
    return first, last, rows


def _random_ids(rng: Random, first: int, last: int, number: int) -> list[int]:
    span = last - first + 1
    return [first + offset for offset in rng.sample(range(span), min(number, _MOST_DRAWN, span))]


async def _draw(
    conn: AsyncConnection, prepared: Prepared, context: EvaluationContext, ids: list[int], span: int, seconds: float
) -> _Drawn:
    """Ask the first quarter, and as many more as fit into the time that is left."""
    started, cut = perf_counter(), len(ids) * _FIRST // (_FIRST + _MORE)
    drawn = await _asked(conn, prepared, context, ids[:cut], _Drawn(span))
    took = perf_counter() - started
    further = int(cut * (seconds - took) / took)
    if further >= cut // _WORTH:
        drawn = await _asked(conn, prepared, context, ids[cut : cut + further], drawn)
    return drawn


async def _asked(
    conn: AsyncConnection, prepared: Prepared, context: EvaluationContext, ids: Sequence[int], before: _Drawn
) -> _Drawn:
    there = select(func.count()).where(customers.c.id == any_(literal(list(ids), ARRAY(BigInteger))))
    among = (await engine.members_among(conn, prepared, context, ids)).subquery()
    belong = select(func.count()).select_from(among)
    async with engine.limited(conn, prepared):
        rows, hits = (await conn.execute(select(there.scalar_subquery(), belong.scalar_subquery()))).one()
    return _Drawn(before.span, before.ids + len(ids), before.rows + rows, before.hits + hits)


def _scaled(drawn: _Drawn, recorded: int) -> Estimate:
    """The sample's share, of the rows that the database believes in where the sample bears it out, else of the ids."""
    least, most = (share * drawn.span for share in _range(drawn.rows, drawn.ids, _QUITE_SURE))
    of, total = (drawn.rows, recorded) if drawn.rows and least <= recorded <= most else (drawn.ids, drawn.span)
    low, high = (round(share * total) for share in _range(drawn.hits, of, _SURE))
    return Estimate(round(drawn.hits / of * total), max(low, drawn.hits), high, of, exact=False)


def _range(hits: int, of: int, deviations: float) -> tuple[float, float]:
    """Wilson's interval of a share: honest for very small and very large ones too."""
    share, square = hits / of, deviations**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = deviations * sqrt(share * (1 - share) / of + square / (4 * of**2)) / (1 + square / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _ids(prepared: Prepared, salesperson: str | None) -> Select[Any]:
    return select(customers.c.id).where(prepared.condition(), *engine.visible(salesperson))


def _column(prepared: Prepared, node: Rule, index: int) -> ColumnElement[bool]:
    return func.coalesce(prepared.condition(node), false()).label(f"c{index}")


def _combinations(held: Sequence[ColumnElement[bool]], salesperson: str | None) -> Any:
    """How many customers there are of each combination of conditions that hold: each is evaluated once a customer."""
    counted = select(*held, func.count().label("number")).select_from(customers).where(*engine.visible(salesperson))
    return counted.group_by(*(text(str(place + 1)) for place in range(len(held)))).subquery()


def _sums(combined: Any, asked: Sequence[ColumnElement[bool]]) -> Any:
    sums: list[Any] = [func.coalesce(func.sum(combined.c.number).filter(wanted), 0) for wanted in asked]
    found: Any = select(*(cast(number, BigInteger) for number in sums))
    return found


def _together(kind: str, held: Sequence[ColumnElement[bool]]) -> Condition:
    if kind == "all":
        return and_(true(), *held)
    some = or_(false(), *held)
    return some if kind == "any" else ~some

"""Keeping segments up to date: an evaluation of those who changed or cross, beside one of everyone.

    .venv/bin/python -m bench.refresh [--json] [--scale 0.1]

The reference set of bench/segments.py. Each segment twice, a day further every round: the one goes on from its last
evaluation, the other looks at everyone. Both end with the same members, sizes and feed, committed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import delete, insert

import hearth
from bench.harness import Result, Side, alternate, main
from bench.million import million
from customers.changes import ACTIVITY, note_changed
from runtime.house import House
from segments.context import context_at
from segments.forget import forget
from segments.models import segments
from segments.standing import evaluate

NOW = datetime.fromisoformat("2026-11-22T16:00:00+08:00")
ROUNDS = 5
CHANGED = 1_000
_FIRST_ID = 1_001

OLD_GREE: dict[str, Any] = {
    "has": "appliances",
    "where": {
        "all": [
            {"field": "category", "op": "eq", "value": "air_conditioner"},
            {"field": "brand", "op": "eq", "value": "Gree"},
            {"field": "installed_on", "op": "older_than", "value": "P8Y"},
        ]
    },
}
WARRANTY: dict[str, Any] = {
    "has": "appliances",
    "where": {"field": "warranty_until", "op": "within_next", "value": "P30D"},
}
QUIET: dict[str, Any] = {
    "all": [
        {"field": "total_spent", "op": "gt", "value": 1000},
        {"field": "last_order_at", "op": "not_within_last", "value": "P180D"},
    ]
}
# With bar and goal; `warranty-ends` is measured to show the limit: where a thousand people move in a day, and everyone
# is found by one index, nothing is to be won.
RULES: dict[str, tuple[Any, float, float]] = {
    "old-gree": (OLD_GREE, 3, 20),
    "warranty-ends": (WARRANTY, 0, 1),
    "quiet": (QUIET, 3, 20),
}


async def measure(scale: float) -> Sequence[Result]:
    async with million(scale) as house:
        results = [await _by_time(house, name, *asked) for name, asked in RULES.items()]
        return [*results, await _by_change(house, scale)]


async def _by_time(house: House, name: str, rule: Any, bar: float, goal: float) -> Result:
    """A day passes, and nothing else."""
    ids = [await _begun(house, number, rule) for number in range(2)]
    try:
        pair = await alternate(_side(house, ids[0], full=False), _side(house, ids[1], full=True), ROUNDS)
    finally:
        await _forgotten(house, ids)
    return pair.cost(f"refresh-{name}", "ms", "the same evaluation of everyone", bar=bar, goal=goal)


async def _by_change(house: House, scale: float) -> Result:
    """A thousand customers change in what the rule asks about, at the same moment."""
    ids = [await _begun(house, number, QUIET) for number in range(2)]
    rng = Random(1)
    people = max(1_000, int(1_000_000 * scale))

    async def noted() -> None:
        async with house.database.begin() as conn:
            await note_changed(conn, ACTIVITY, rng.sample(range(1, people + 1), CHANGED))

    try:
        follows = _side(house, ids[0], full=False, before=noted, step=timedelta(minutes=1))
        anew = _side(house, ids[1], full=True, step=timedelta(minutes=1))
        pair = await alternate(follows, anew, ROUNDS)
    finally:
        await _forgotten(house, ids)
    return pair.cost("refresh-1000-changed", "ms", "the same evaluation of everyone", bar=3, goal=20)


def _side(
    house: House, segment_id: int, *, full: bool, before: Any = None, step: timedelta = timedelta(days=1)
) -> Side:
    moment = NOW

    async def run() -> float:
        nonlocal moment
        moment += step
        if before is not None:
            await before()
        started = time.perf_counter()
        async with house.database.begin() as conn:
            done = await evaluate(conn, segment_id, context_at(moment, house.settings), full=full)
        took = (time.perf_counter() - started) * 1000
        print(f"bench: {'everyone' if full else 'follows '} {took:7.1f} ms {done}", file=sys.stderr, flush=True)
        return took

    return run


async def _begun(house: House, number: int, rule: Any) -> int:
    """A segment that was evaluated once."""
    segment_id = _FIRST_ID + number
    async with house.database.begin() as conn:
        await conn.execute(delete(segments).where(segments.c.id == segment_id))
        await forget(conn, segment_id)
        await conn.execute(insert(segments).values(id=segment_id, name=f"bench refresh {number}", rule=rule))
        await evaluate(conn, segment_id, context_at(NOW, house.settings))
    return segment_id


async def _forgotten(house: House, ids: Sequence[int]) -> None:
    for segment_id in ids:
        async with house.database.begin() as conn:
            await conn.execute(delete(segments).where(segments.c.id == segment_id))
            await forget(conn, segment_id)


if __name__ == "__main__":
    hearth.install()
    sys.exit(main(__doc__, measure))

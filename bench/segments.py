"""Counting the members of twelve reference rules among 1,000,000 customers, and what else goes over all of them.

Each rule: `engine.count` against the best SQL that we know how to write by hand for it on the same PostgreSQL, and
against DuckDB over the same facts; all three must give the same number. Then: that cost grows no faster than the data,
the slowest estimate, and freezing a campaign to some 650,000 people.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import duckdb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import hearth
from bench import market
from bench.facts import facts
from bench.harness import Result, Side, main, take_turns
from bench.million import million, say, vacuum
from bench.reference import CONTENT
from bench.rules import REFERENCES, Reference
from campaigns import store
from campaigns.freeze import freeze
from campaigns.launch import launch
from runtime.clock import utc_now
from runtime.errors import HearthError
from runtime.house import House
from segments import engine, looking
from segments.context import EvaluationContext, context_at

ROUNDS = 7
GROWTH_ROUNDS = 5
QUARTER = 0.25
GROWTH_BAR = 1 / 1.35
OVERHEAD = 5.0  # milliseconds: reading the rule, compiling it, asking what it refers to
FREEZE_SECONDS = 15.0
ESTIMATE_MS = 150.0
BOUGHT = {"field": "total_spent", "op": "gte", "value": 300}
"""Some 650,000 of a million."""


class Differs(HearthError):
    """Two ways of asking the same gave different numbers."""


@dataclass(frozen=True)
class Timed:
    """Median milliseconds of one rule, asked three ways."""

    asked: Reference
    ours: float
    by_hand: float
    duckdb: float

    def results(self) -> list[Result]:
        name = f"count: {self.asked.name}"
        slack = self.by_hand / (1.2 * self.by_hand + OVERHEAD)
        times = 2 if self.asked.rollup else 8
        return [
            Result(name, self.ours, "ms", "by hand", self.by_hand, self.by_hand / self.ours, slack, 1.0),
            Result(name, self.ours, "ms", "DuckDB", self.duckdb, self.duckdb / self.ours, 1 / times, 1.0),
        ]


async def measure(scale: float) -> list[Result]:
    hearth.install()
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(million(scale))
        timed = await _count_all(house)
        results = [result for one in timed for result in one.results()]
        results += [_median(timed), await _estimates(house)]
        results.append(await _growth(house, await stack.enter_async_context(million(scale * QUARTER))))
        results.append(await _freezing(house, scale))
    return results


def _median(timed: Sequence[Timed]) -> Result:
    ours, theirs = (statistics.median(getattr(one, side) for one in timed) for side in ("ours", "duckdb"))
    ratio = statistics.median(one.duckdb / one.ours for one in timed)
    return Result("count: median of the ratios", ours, "ms", "DuckDB", theirs, ratio, 1 / 8, 1.0)


async def _count_all(house: House) -> list[Timed]:
    async with house.database.connect() as conn:
        say("loading the facts into DuckDB")
        duck = await facts(conn, house.settings.data_dir)
        with duck:
            return [await _count_three_ways(conn, duck, asked) for asked in REFERENCES]


async def _count_three_ways(conn: AsyncConnection, duck: duckdb.DuckDBPyConnection, asked: Reference) -> Timed:
    context = _context()

    async def ours() -> int:
        return await engine.count(conn, asked.rule, context)

    async def by_hand() -> int:
        return int((await conn.exec_driver_sql(asked.by_hand.replace("%", "%%"))).scalar_one())

    async def in_duckdb() -> int:
        [number] = duck.execute(asked.duckdb).fetchone() or [0]
        return int(number)

    say(f"counting: {asked.name}")
    found = [await side() for side in (ours, by_hand, in_duckdb)]
    await conn.rollback()
    if len({*found}) > 1:
        raise Differs(f"{asked.name}: {found[0]} by the engine, {found[1]} by hand, {found[2]} in DuckDB")
    return Timed(asked, *await take_turns([_milliseconds(side) for side in (ours, by_hand, in_duckdb)], ROUNDS))


async def _growth(house: House, quarter: House) -> Result:
    """What a customer costs, at a quarter of the customers and at all of them: the twelve rules together."""

    def side(of: House) -> Side:
        async def counted() -> None:
            async with of.database.connect() as conn:
                for asked in REFERENCES:
                    await engine.count(conn, asked.rule, _context())

        return _milliseconds(counted)

    say("counting all, at a quarter of the customers and at all of them")
    sides = [side(house), side(quarter)]
    for each in sides:
        await each()
    whole, part = await take_turns(sides, GROWTH_ROUNDS)
    return Result(
        "growth: all rules", whole, "ms", "4 × a quarter", part / QUARTER, part / QUARTER / whole, GROWTH_BAR, 1.0
    )


async def _estimates(house: House) -> Result:
    """The slowest of the twelve."""
    medians = []
    async with house.database.connect() as conn:
        for asked in REFERENCES:

            async def estimated(asked: Reference = asked) -> None:
                await looking.estimate(conn, asked.rule, _context())

            await estimated()
            medians += await take_turns([_milliseconds(estimated)], GROWTH_ROUNDS)
    slowest = max(medians)
    return Result("estimate: the slowest", slowest, "ms", "while typing", ESTIMATE_MS, ESTIMATE_MS / slowest, 1.0, 2.0)


async def _freezing(house: House, scale: float) -> Result:
    """Seconds from the run being due to its messages standing there in batches; then all of it is taken away again."""
    say("freezing a campaign")
    body = {"name": "换新周", "channel": "email", "rule": BOUGHT, "content": CONTENT}
    now = utc_now()
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, body, settings=house.settings, by=None)
        await launch(conn, campaign_id, settings=house.settings, now=now)
        run_id = (
            await conn.execute(text("SELECT id FROM runs WHERE campaign_id = :id"), {"id": campaign_id})
        ).scalar_one()
    begun = time.perf_counter()
    async with house.database.begin() as conn:
        await freeze(conn, run_id, context_at(now, house.settings))
    seconds = time.perf_counter() - begun
    async with house.database.begin() as conn:
        say(f"{await conn.scalar(text('SELECT count(*) FROM messages'))} messages")
        await conn.execute(text("TRUNCATE messages, link_tables, campaigns, procrastinate_jobs CASCADE"))
    await vacuum(house)
    allowed = FREEZE_SECONDS * scale
    return Result(
        "freeze: 650,000 people", seconds * 1000, "ms", "allowed", allowed * 1000, allowed / seconds, 1.0, 2.0
    )


def _milliseconds(work: Callable[[], Awaitable[object]]) -> Side:
    async def timed() -> float:
        begun = time.perf_counter()
        await work()
        return (time.perf_counter() - begun) * 1000

    return timed


def _context() -> EvaluationContext:
    return EvaluationContext(market.NOW, "Asia/Shanghai")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))

"""Where the messages of campaigns stand, for who asks now: no number is older than it may be, and no campaign of a
million messages is scanned for each who asks.

Small campaigns are counted. Of a large one that is over the kept figures (campaigns/figures.py) serve while nothing
came back since; otherwise all who ask within some moments share one look, which is one statement: its numbers add up.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import select, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.attribution import Earned, Model, earned
from campaigns.models import campaign_figures
from tracking.counts import Counts, counts_by_run, counts_by_runs, total

LARGE = 250_000  # messages; so many are counted in a twentieth of a second
LARGE_IN_A_LIST = 20_000  # beside many others
SHARED = 1.0  # seconds
SHARE = 20  # a look that took a second is not repeated for 20

States = frozenset[tuple[int, str]]  # the runs of a campaign and their states


@dataclass(frozen=True)
class _Look:
    states: States
    at: float  # monotonic
    took: float
    counts: dict[int, Counts]

    def serves(self, states: States) -> bool:
        """While no run moved on."""
        return self.states == states and time.monotonic() - self.at < max(SHARED, SHARE * self.took)


@dataclass
class _Shared:
    """The last look at each large campaign of one database, and who takes the next."""

    looks: dict[int, _Look] = field(default_factory=dict)
    turns: defaultdict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))


_shared: WeakKeyDictionary[Engine, _Shared] = WeakKeyDictionary()


async def counts_now(
    conn: AsyncConnection, campaign_ids: Sequence[int], *, lately: bool = False
) -> dict[int, dict[int, Counts]]:
    """By campaign and run, of those that have messages: exact, of a large one some seconds old at most. `lately`, in
    lists: of one that is over some minutes old will do."""
    states = await _large(conn, campaign_ids, LARGE_IN_A_LIST if lately else LARGE)
    found = await counts_by_runs(conn, [each for each in campaign_ids if each not in states])
    kept = await _kept(conn, list(states), lately=lately)
    for campaign_id, runs in states.items():
        found[campaign_id] = kept.get(campaign_id) or await _looked(conn, campaign_id, runs)
    return found


async def earned_now(conn: AsyncConnection, campaign_id: int) -> Earned:
    """By the last touch; of a large campaign as its report has it, where it was counted."""
    if await _large(conn, [campaign_id], LARGE):
        credit = campaign_figures.c.figures["credit"]
        kept = await conn.scalar(select(credit).where(campaign_figures.c.campaign_id == campaign_id))
        if kept is not None:
            of_runs = [Earned(*map(Decimal, run[Model.LAST])) for run in kept.values() if Model.LAST in run]
            return sum(of_runs, Earned())
    return (await earned(conn, [campaign_id])).get(campaign_id, Earned())


async def _looked(conn: AsyncConnection, campaign_id: int, states: States) -> dict[int, Counts]:
    shared = _shared.setdefault(conn.sync_engine, _Shared())
    async with shared.turns[campaign_id]:
        known = shared.looks.get(campaign_id)
        if known is None or not known.serves(states):
            begun = time.monotonic()
            counts = await counts_by_run(conn, campaign_id)
            ended = time.monotonic()
            known = shared.looks[campaign_id] = _Look(states, ended, ended - begun, counts)
    return known.counts


async def _large(conn: AsyncConnection, campaign_ids: Sequence[int], large: int) -> dict[int, States]:
    """Of those campaigns that have more messages."""
    rows = await conn.execute(_LARGE, {"ids": list(campaign_ids), "large": large})
    return {row.campaign_id: frozenset(zip(row.runs, row.states, strict=True)) for row in rows}


async def _kept(conn: AsyncConnection, campaign_ids: Sequence[int], *, lately: bool) -> dict[int, dict[int, Counts]]:
    rows = await conn.execute(_KEPT, {"ids": list(campaign_ids), "lately": lately}) if campaign_ids else ()
    found = {row.campaign_id: _read(row.counts) for row in rows}
    return {campaign_id: counts for campaign_id, counts in found.items() if total(counts.values()).finished}


def _read(counts: Mapping[str, Any]) -> dict[int, Counts]:
    return {int(run_id): Counts(**each) for run_id, each in counts.items()}


_LARGE = text("""
    SELECT campaign_id, array_agg(id) AS runs, array_agg(state) AS states FROM runs
    WHERE campaign_id = ANY (CAST(:ids AS bigint[])) GROUP BY 1 HAVING sum(people) > :large
""")

# What providers tell comes late, with the time at which it happened.
_KEPT = text("""
    SELECT f.campaign_id, f.figures -> 'counts' AS counts FROM campaign_figures f
    WHERE f.campaign_id = ANY (CAST(:ids AS bigint[]))
      AND NOT EXISTS (
          SELECT FROM runs r WHERE r.campaign_id = f.campaign_id AND (
              r.state NOT IN ('finished', 'cancelled', 'failed') OR coalesce(r.frozen_at, r.started_at) > f.counted_at
              OR r.finished_at > f.counted_at))
      AND (:lately OR NOT EXISTS (
          SELECT FROM events e WHERE e.campaign_id = f.campaign_id AND e.at > f.counted_at - interval '1 day'
              AND e.recorded_at > f.counted_at - interval '10 seconds'))
""")

"""A campaign's report as it stood some minutes ago: counted whole in the background, so that no page waits for a scan
of its messages, and nothing of it can drift from the facts.

Counted anew while people answer (REST after the last count at the soonest, and never for more than a twentieth of the
time), each hour while orders may still be credited, and each day for refunds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import breakdowns, report, store
from campaigns.attribution import NOTHING, Credit, Earned, Model, compared_by_run, together
from campaigns.experiments.lift import lift
from campaigns.experiments.outcome import Tallied, tallied
from campaigns.live.figures import Answer
from campaigns.models import campaign_figures, runs
from campaigns.states import NEXT
from runtime.clock import utc_now
from runtime.errors import NotFound
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from tracking.counts import Counts, counts_by_run, total

REST = timedelta(minutes=5)
AT_ONCE = 20  # campaigns that are put into the queue by a tick


@dataclass(frozen=True)
class Sums:
    """By run."""

    counts: Mapping[int, Counts]
    credit: Mapping[int, Credit]

    @property
    def total(self) -> Counts:
        return total(self.counts.values())

    @property
    def earned(self) -> Credit:
        return together(self.credit.values())


@dataclass(frozen=True)
class Figures(Sums):
    """Beside the sums all that campaigns/report.py, campaigns/breakdowns.py and the experiments tell of it."""

    counted_at: datetime
    hours: Sequence[Mapping[str, Any]]
    links: Sequence[Mapping[str, Any]]
    domains: Sequence[Mapping[str, Any]]
    answers: Sequence[Answer]
    cities: Sequence[Mapping[str, Any]]
    salespeople: Sequence[Mapping[str, Any]]
    devices: Mapping[str, Sequence[Mapping[str, Any]]]
    tests: Tallied
    lift: Mapping[str, Any] | None  # as the API has it

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal value back."""
        return {
            "counts": {str(run_id): asdict(counts) for run_id, counts in self.counts.items()},
            "credit": {str(run_id): _plain(credit) for run_id, credit in self.credit.items()},
            "hours": [{**hour, "at": hour["at"].isoformat()} for hour in self.hours],
            "answers": [asdict(answer) for answer in self.answers],
            "tests": self.tests.to_json(),
            **{name: getattr(self, name) for name in _AS_IT_IS},
        }

    @classmethod
    def from_json(cls, counted_at: datetime, kept: Mapping[str, Any]) -> Figures:
        sums = _sums(kept["counts"], kept["credit"])
        return cls(
            counted_at=counted_at,
            counts=sums.counts,
            credit=sums.credit,
            hours=[{**hour, "at": datetime.fromisoformat(hour["at"])} for hour in kept["hours"]],
            answers=[Answer(**answer) for answer in kept["answers"]],
            tests=Tallied.from_json(kept["tests"]),
            **{name: kept[name] for name in _AS_IT_IS},
        )


_AS_IT_IS = ("links", "domains", "cities", "salespeople", "devices", "lift")


async def count(conn: AsyncConnection, campaign_id: int, now: datetime) -> Figures:
    """From the facts, as of now."""
    over = not NEXT[(await store.campaign(conn, campaign_id)).state]
    by_run = await counts_by_run(conn, campaign_id)
    beyond = await lift(conn, campaign_id)
    return Figures(
        counted_at=now,
        counts=by_run,
        credit=(await compared_by_run(conn, [campaign_id])).get(campaign_id, {}),
        hours=await report.hourly(conn, campaign_id),
        links=await report.links(conn, campaign_id),
        domains=await report.domains(conn, campaign_id) if over else [],
        answers=await report.answers(conn, list(by_run)) if over else [],
        cities=await breakdowns.cities(conn, campaign_id),
        salespeople=await breakdowns.salespeople(conn, campaign_id),
        devices=await breakdowns.devices(conn, campaign_id),
        tests=await tallied(conn, campaign_id),
        lift=None if beyond is None else beyond.to_json(),
    )


async def kept(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, Figures]:
    """Those of these campaigns that were counted, as they stood then."""
    statement = select(campaign_figures).where(campaign_figures.c.campaign_id.in_(campaign_ids))
    return {row.campaign_id: Figures.from_json(row.counted_at, row.figures) for row in await conn.execute(statement)}


async def kept_sums(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, Sums]:
    """Of these only the sums: a thirtieth of what `kept` reads."""
    figures = campaign_figures.c.figures
    columns = campaign_figures.c.campaign_id, figures["counts"].label("counts"), figures["credit"].label("credit")
    statement = select(*columns).where(campaign_figures.c.campaign_id.in_(campaign_ids))
    return {row.campaign_id: _sums(row.counts, row.credit) for row in await conn.execute(statement)}


async def keep(conn: AsyncConnection, campaign_id: int, now: datetime) -> Figures:
    """Count and keep."""
    begun = time.monotonic()
    found = await count(conn, campaign_id, now)
    values = {
        "counted_at": now,
        "took_ms": int((time.monotonic() - begun) * 1000),
        "figures": found.to_json(),
    }
    statement = insert(campaign_figures).values(campaign_id=campaign_id, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["campaign_id"], set_=values))
    return found


async def forget(conn: AsyncConnection) -> None:
    """Let all be counted anew: for `hearth db recount`."""
    await conn.execute(delete(campaign_figures))


async def due(conn: AsyncConnection, now: datetime) -> list[int]:
    """The campaigns to count anew, those that nobody counted yet first."""
    values = {"now": now, "rest": REST, "most": AT_ONCE}
    return list((await conn.execute(_DUE, values)).scalars())


async def people_of(conn: AsyncConnection, campaign_id: int) -> int:
    """How many messages its runs have; not counted but as freezing noted it."""
    statement = select(runs.c.people).where(runs.c.campaign_id == campaign_id)
    return sum(n or 0 for n in (await conn.execute(statement)).scalars())


@job("campaigns.count_figures")
async def count_figures(house: House, *, campaign_id: int) -> None:
    try:
        async with house.database.begin() as conn:
            await keep(conn, campaign_id, utc_now())
    except NotFound:  # deleted meanwhile
        return


@tick(every=timedelta(minutes=1))
async def count_in_time(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        for campaign_id in await due(conn, now):
            await defer(conn, count_figures, queueing_lock=f"figures {campaign_id}", campaign_id=campaign_id)


def _sums(counts: Mapping[str, Any], credit: Mapping[str, Any]) -> Sums:
    return Sums(
        {int(run_id): Counts(**each) for run_id, each in counts.items()},
        {int(run_id): _credit(each) for run_id, each in credit.items()},
    )


def _plain(credit: Credit) -> dict[str, list[str]]:
    return {model: [str(each.orders), str(each.revenue), str(each.margin)] for model, each in credit.items()}


def _credit(kept: Mapping[str, Sequence[str]]) -> Credit:
    return {**NOTHING, **{Model(model): Earned(*map(Decimal, figures)) for model, figures in kept.items()}}


_DUE = text("""
    WITH ran AS (
        SELECT campaign_id, max(coalesce(frozen_at, started_at)) AS last_at,
               bool_or(state NOT IN ('finished', 'cancelled', 'failed')) AS moving
        FROM runs GROUP BY campaign_id
    )
    SELECT ran.campaign_id FROM ran LEFT JOIN campaign_figures f ON f.campaign_id = ran.campaign_id
    WHERE f.campaign_id IS NULL
       OR f.counted_at < CAST(:now AS timestamptz) - greatest(:rest, f.took_ms * interval '20 milliseconds') AND (
            ran.moving OR ran.last_at > f.counted_at
            OR ran.last_at > CAST(:now AS timestamptz) - interval '45 days'
                AND f.counted_at < CAST(:now AS timestamptz) - interval '1 hour'
            OR f.counted_at < CAST(:now AS timestamptz) - interval '1 day'
            OR EXISTS (SELECT FROM events e WHERE e.campaign_id = ran.campaign_id AND e.at > f.counted_at))
    ORDER BY f.counted_at NULLS FIRST, ran.campaign_id LIMIT :most
""")

"""All campaigns of a period together: what went out, what it earned and cost, and how much of it people did not want.

From the figures that are kept of each campaign (campaigns/figures.py), by the runs that were frozen within the period;
a campaign that nobody counted yet is left out, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import figures
from campaigns.attribution import Earned, Model, together
from campaigns.models import campaigns, runs
from campaigns.windows import costs
from tracking.counts import Counts, total

FEWEST = 100  # messages sent, for a campaign to be among the best or the worst
PLACES = 5


@dataclass(frozen=True)
class Line:
    """A campaign within the period. `cost` is of its share of all that it ever sent, fixed costs too."""

    id: int
    name: str
    at: datetime  # its last run
    counts: Counts
    earned: Earned
    cost: Decimal

    @property
    def complaints(self) -> float:
        return self._share(self.counts.complained)

    @property
    def unsubscribes(self) -> float:
        return self._share(self.counts.unsubscribed)

    @property
    def opens(self) -> float:
        return self._share(self.counts.opened)

    @property
    def clicks(self) -> float:
        return self._share(self.counts.clicked)

    @property
    def profit(self) -> Decimal:
        """Margin less cost."""
        return self.earned.margin - self.cost

    @property
    def each(self) -> Decimal:
        """Revenue of one message."""
        return self.earned.revenue / self.counts.sent if self.counts.sent else Decimal(0)

    def _share(self, n: int) -> float:
        return n / self.counts.sent if self.counts.sent else 0.0


@dataclass(frozen=True)
class Week:
    """By the day on which it begins, a Monday of the workspace; of the runs that were frozen in it."""

    begins: date
    sent: int
    revenue: Decimal
    unsubscribed: int
    complained: int


@dataclass(frozen=True)
class Programme:
    """`lines`: the latest first. `uncounted`: campaigns of the period that have no figures yet."""

    lines: Sequence[Line]
    weeks: Sequence[Week]
    uncounted: int

    @property
    def whole(self) -> Line | None:
        """All of them as one; None without any."""
        if not self.lines:
            return None
        earned = Earned()
        for line in self.lines:
            earned += line.earned
        cost = sum((line.cost for line in self.lines), Decimal(0))
        return Line(0, "", self.lines[0].at, total(line.counts for line in self.lines), earned, cost)

    @property
    def best(self) -> Sequence[Line]:
        """By revenue of one message."""
        return self._ranked(attrgetter("each"))

    @property
    def worst(self) -> Sequence[Line]:
        """By those who complained or unsubscribed; where nobody did, none."""
        found = self._ranked(lambda line: line.complaints * 10 + line.unsubscribes)
        return [line for line in found if line.counts.complained or line.counts.unsubscribed]

    def _ranked(self, key: Callable[[Line], float | Decimal]) -> Sequence[Line]:
        large = [line for line in self.lines if line.counts.sent >= FEWEST]
        return sorted(large, key=key, reverse=True)[:PLACES]


async def programme(conn: AsyncConnection, since: datetime, until: datetime, timezone: str) -> Programme:
    """Of the runs frozen within the period."""
    monday = func.date_trunc("week", func.timezone(timezone, runs.c.frozen_at))
    statement = (
        select(runs.c.id, runs.c.campaign_id, campaigns.c.name, runs.c.frozen_at, monday.label("monday"))
        .join_from(runs, campaigns)
        .where(runs.c.frozen_at >= since, runs.c.frozen_at < until)
        .order_by(runs.c.frozen_at.desc(), runs.c.id)
    )
    found = (await conn.execute(statement)).all()
    kept = await figures.kept_sums(conn, list({row.campaign_id for row in found}))
    own: dict[int, list[Any]] = {}
    for row in found:
        own.setdefault(row.campaign_id, []).append(row)
    cost = await costs(conn, {campaign_id: known.total.sent for campaign_id, known in kept.items()})
    lines = [
        _line(ran, kept[campaign_id], cost.get(campaign_id, Decimal(0)))
        for campaign_id, ran in own.items()
        if campaign_id in kept
    ]
    weeks = _weeks([(row.monday.date(), row.id, kept[row.campaign_id]) for row in found if row.campaign_id in kept])
    return Programme(lines, weeks, len(own.keys() - kept.keys()))


def _line(ran: Sequence[Any], known: figures.Sums, whole_cost: Decimal) -> Line:
    """`ran`: its runs of the period, the latest first."""
    counts = total(known.counts[run.id] for run in ran if run.id in known.counts)
    earned = together(known.credit[run.id] for run in ran if run.id in known.credit)[Model.LAST]
    share = Decimal(counts.sent) / known.total.sent if known.total.sent else Decimal(1)
    return Line(ran[0].campaign_id, ran[0].name, ran[0].frozen_at, counts, earned, round(whole_cost * share, 4))


def _weeks(ran: Sequence[tuple[date, int, figures.Sums]]) -> list[Week]:
    found: dict[date, Week] = {}
    for monday, run_id, known in ran:
        counts = known.counts.get(run_id, Counts())
        earned = known.credit[run_id][Model.LAST] if run_id in known.credit else Earned()
        so_far = found.get(monday, Week(monday, 0, Decimal(0), 0, 0))
        found[monday] = Week(
            monday,
            so_far.sent + counts.sent,
            so_far.revenue + earned.revenue,
            so_far.unsubscribed + counts.unsubscribed,
            so_far.complained + counts.complained,
        )
    return [found[monday] for monday in sorted(found)]

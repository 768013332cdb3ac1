"""How the base of customers grows against churn, and how long those who came stay: from orders alone.

Who ordered is active for `days` from each order on. Somebody is new with their first order, lost when they have not
ordered for `days`, and back with the next order after that; so the active customers at the end of a month are those at
its beginning, plus new and back, less lost. Completed and partly refunded orders count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

DAYS = 365
SPAN = 12  # months


@dataclass(frozen=True)
class Month:
    """A month of the workspace, `2026-11`; `active` at its end (of the present one: now)."""

    name: str
    new: int
    back: int
    lost: int
    active: int

    @property
    def before(self) -> int:
        """Active at its beginning."""
        return self.active - self.new - self.back + self.lost

    @property
    def growth(self) -> float | None:
        """The net rate of the month; None where nobody was there before."""
        return (self.active - self.before) / self.before if self.before else None

    @property
    def churn(self) -> float | None:
        return self.lost / self.before if self.before else None


@dataclass(frozen=True)
class Growth:
    """`months`: the oldest first, the present one last."""

    months: Sequence[Month]

    @property
    def whole(self) -> Sequence[Month]:
        """Without the present month, which is not over."""
        return self.months[:-1]

    @property
    def monthly(self) -> float | None:
        """The rate that, each month the same, makes of the first whole month's beginning the last one's end."""
        begun = [month for month in self.whole if month.before]
        if not begun or not begun[-1].active:
            return None
        return float((begun[-1].active / begun[0].before) ** (1 / len(begun)) - 1)

    @property
    def doubling(self) -> float | None:
        """In how many months the base doubles at that rate (halves, where it is below zero); None at zero."""
        rate = self.monthly
        return math.log(2) / abs(math.log1p(rate)) if rate else None


@dataclass(frozen=True)
class Cohort:
    """Who ordered first in the month `name`; `stayed`: how many of them ordered in that month and each one after it, up
    to the present."""

    name: str
    people: int
    stayed: Sequence[int]


async def growth(conn: AsyncConnection, *, now: datetime, timezone: str, days: int = DAYS, span: int = SPAN) -> Growth:
    """The last `span` whole months and the present one."""
    values = {"now": now, "zone": timezone, "days": days, "span": span}
    return Growth([Month(*row) for row in await conn.execute(_GROWTH, values)])


async def cohorts(conn: AsyncConnection, *, now: datetime, timezone: str, span: int = SPAN) -> list[Cohort]:
    """Of the last `span` months that anybody first ordered in, the oldest first."""
    found: dict[str, dict[int, int]] = {}
    values = {"now": now, "zone": timezone, "span": span}
    oldest: dict[str, int] = {}
    for row in await conn.execute(_COHORTS, values):
        found.setdefault(row.name, {})[row.later] = row.people
        oldest[row.name] = row.age
    return [
        Cohort(name, stayed[0], [stayed.get(later, 0) for later in range(oldest[name] + 1)])
        for name, stayed in found.items()
    ]


# An order whose customer was not active begins a stretch of activity; one that none follows in time ends it.
_GROWTH = text("""
    WITH span AS (
        SELECT month
        FROM generate_series(date_trunc('month', timezone(:zone, CAST(:now AS timestamptz)))
            - make_interval(months => :span), date_trunc('month', timezone(:zone, CAST(:now AS timestamptz))),
            interval '1 month') AS month
    ), bought AS (
        SELECT ordered_at, lag(ordered_at) OVER own AS before, lead(ordered_at) OVER own AS after
        FROM orders WHERE status IN ('completed', 'partly_refunded') AND ordered_at < :now
        WINDOW own AS (PARTITION BY customer_id ORDER BY ordered_at)
    ), turns AS (
        SELECT ordered_at AS at, CASE WHEN before IS NULL THEN 'new' ELSE 'back' END AS what FROM bought
        WHERE before IS NULL OR before <= ordered_at - make_interval(days => :days)
        UNION ALL
        SELECT ordered_at + make_interval(days => :days), 'lost' FROM bought
        WHERE ordered_at + make_interval(days => :days) < :now
          AND (after IS NULL OR after >= ordered_at + make_interval(days => :days))
    ), counted AS (
        SELECT greatest(date_trunc('month', timezone(:zone, at)), (SELECT min(month) FROM span) - interval '1 month')
                   AS month,
               count(*) FILTER (WHERE what = 'new') AS new, count(*) FILTER (WHERE what = 'back') AS back,
               count(*) FILTER (WHERE what = 'lost') AS lost
        FROM turns GROUP BY 1
    ), summed AS (
        SELECT month, new, back, lost, sum(new + back - lost) OVER (ORDER BY month) AS active FROM (
            SELECT month, coalesce(new, 0) AS new, coalesce(back, 0) AS back, coalesce(lost, 0) AS lost
            FROM (SELECT month FROM span UNION SELECT month FROM counted) months LEFT JOIN counted USING (month)
        ) filled
    )
    SELECT to_char(month, 'YYYY-MM'), CAST(new AS bigint), CAST(back AS bigint), CAST(lost AS bigint),
           CAST(active AS bigint)
    FROM summed JOIN span USING (month) ORDER BY month
""")

_COHORTS = text("""
    WITH bought AS (
        SELECT DISTINCT customer_id, date_trunc('month', timezone(:zone, ordered_at)) AS month FROM orders
        WHERE status IN ('completed', 'partly_refunded') AND ordered_at < :now
    ), placed AS (
        SELECT month, min(month) OVER (PARTITION BY customer_id) AS first FROM bought
    )
    SELECT to_char(first, 'YYYY-MM') AS name,
           CAST(extract(year FROM age(month, first)) * 12 + extract(month FROM age(month, first)) AS integer) AS later,
           CAST(extract(year FROM age(this, first)) * 12 + extract(month FROM age(this, first)) AS integer) AS age,
           count(*) AS people
    FROM placed, (SELECT date_trunc('month', timezone(:zone, CAST(:now AS timestamptz))) AS this) present
    WHERE first > this - make_interval(months => :span)
    GROUP BY first, month, this ORDER BY first, month
""")

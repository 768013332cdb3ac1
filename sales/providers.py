"""External service providers measured by their visits of a month: how soon, how often in time, how well.

A visit belongs to the month in which it was asked for. Its answer is the visit, else its completion; in time is within
PROMISED hours, and what is still open after that is late. Open visits that are not late yet, and cancelled ones, are
left out. Satisfaction: ratings of visits and CSAT answers about them, 1 to 5; those of the month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sales.period import Period

PROMISED = 48
"""Hours within which a visit is in time."""


@dataclass(frozen=True)
class Provider:
    """`hours`: the median until the visit, None where none was made. `on_time`: a share of `judged` visits.
    `satisfaction`: the mean of `rated` answers, 1 to 5."""

    name: str
    visits: int
    judged: int
    hours: Decimal | None
    on_time: Decimal | None
    late_open: int
    complaints: int
    satisfaction: Decimal | None
    rated: int


async def providers(
    conn: AsyncConnection, period: Period, now: datetime, *, salesperson: str | None = None
) -> Sequence[Provider]:
    """Those with the most visits first; `salesperson` (a code): of their own households."""
    values = {"start": period.start, "end": period.end, "now": now, "hours": PROMISED, "own": salesperson}
    rows = await conn.execute(_MEASURE, values)
    return [Provider(**row._mapping) for row in rows]


_MEASURE = text("""
    WITH asked AS (
        SELECT v.provider_folded, v.provider, v.kind_folded, v.requested_at,
            coalesce(v.visited_at, v.completed_at) AS answered_at,
            coalesce(v.visited_at, v.completed_at, :now)
                > v.requested_at + CAST(:hours AS int) * interval '1 hour' AS late
        FROM service_visits v JOIN customers c ON c.id = v.customer_id
        WHERE v.provider_folded <> '' AND v.requested_at >= :start AND v.requested_at < :end
          AND v.status_folded IS DISTINCT FROM 'cancelled'
          AND (CAST(:own AS text) IS NULL OR c.salesperson = :own)
    ), made AS (
        SELECT provider_folded, min(provider) AS name, CAST(count(*) AS int) AS visits,
            CAST(count(*) FILTER (WHERE answered_at IS NOT NULL OR late) AS int) AS judged,
            CAST(count(*) FILTER (WHERE answered_at IS NOT NULL AND NOT late) AS int) AS in_time,
            CAST(count(*) FILTER (WHERE answered_at IS NULL AND late) AS int) AS late_open,
            CAST(count(*) FILTER (WHERE kind_folded = 'complaint') AS int) AS complaints,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM answered_at - requested_at) / 3600) AS hours
        FROM asked GROUP BY 1
    ), said AS (
        SELECT provider_folded, min(provider) AS name, CAST(count(*) AS int) AS rated, avg(score) AS satisfaction
        FROM (
            SELECT v.customer_id, v.provider_folded, v.provider, v.satisfaction AS score FROM service_visits v
            WHERE v.satisfaction IS NOT NULL AND v.provider_folded <> ''
              AND coalesce(v.completed_at, v.visited_at) >= :start AND coalesce(v.completed_at, v.visited_at) < :end
            UNION ALL
            SELECT r.customer_id, r.provider_folded, r.provider, r.score FROM ratings r
            WHERE r.counts AND r.survey = 'csat' AND r.provider_folded <> '' AND r.at >= :start AND r.at < :end
        ) each JOIN customers c ON c.id = each.customer_id
        WHERE CAST(:own AS text) IS NULL OR c.salesperson = :own
        GROUP BY 1
    )
    SELECT coalesce(made.name, said.name) AS name, coalesce(visits, 0) AS visits, coalesce(judged, 0) AS judged,
        round(CAST(hours AS numeric), 1) AS hours, round(in_time / CAST(nullif(judged, 0) AS numeric), 4) AS on_time,
        coalesce(late_open, 0) AS late_open, coalesce(complaints, 0) AS complaints,
        round(satisfaction, 2) AS satisfaction, coalesce(rated, 0) AS rated
    FROM made FULL JOIN said USING (provider_folded) ORDER BY 2 DESC, 1
""")

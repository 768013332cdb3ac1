"""RFM: how recently, how often and for how much people bought, as ranks from 1 to 5 (5 best), refreshed daily."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_missing_rhythms
from customers.changes import ACTIVITY, change_and_note
from runtime.clock import local_date
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.models import workspace
from runtime.scheduler import tick
from runtime.workspace import put

_RANKED_ON = "rfm_ranked_on"

# A value equal to a cut point ranks with the lower side: it is not greater than it.
_RANK = """
    WITH cuts AS (
        SELECT percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY last_order_at) AS recency,
            percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY orders_count) AS frequency,
            percentile_disc(ARRAY[0.2, 0.4, 0.6, 0.8]) WITHIN GROUP (ORDER BY total_spent) AS monetary
        FROM activity WHERE orders_count > 0
    ), ranked AS (
        SELECT customer_id, orders_count > 0 AS bought,
            1 + (SELECT count(*) FROM unnest(cuts.recency) cut WHERE last_order_at > cut) AS recency,
            1 + (SELECT count(*) FROM unnest(cuts.frequency) cut WHERE orders_count > cut) AS frequency,
            1 + (SELECT count(*) FROM unnest(cuts.monetary) cut WHERE total_spent > cut) AS monetary
        FROM activity, cuts
    )
    UPDATE activity SET rfm_recency = CASE WHEN bought THEN ranked.recency END,
        rfm_frequency = CASE WHEN bought THEN ranked.frequency END,
        rfm_monetary = CASE WHEN bought THEN ranked.monetary END
    FROM ranked
    WHERE activity.customer_id = ranked.customer_id
        AND (activity.rfm_recency, activity.rfm_frequency, activity.rfm_monetary) IS DISTINCT FROM (
            CASE WHEN bought THEN ranked.recency END, CASE WHEN bought THEN ranked.frequency END,
            CASE WHEN bought THEN ranked.monetary END)
    RETURNING activity.customer_id
"""


async def refresh_ranks(conn: AsyncConnection) -> int:
    """Rank everybody with a completed order against the others; how many changed. Without such an order: no rank."""
    return await change_and_note(conn, ACTIVITY, _RANK)


@job("customers.refresh_ranks")
async def refresh_ranks_job(house: House) -> None:
    """The ranks, and the rhythm of those whose orders were folded by a release that knew of none."""
    async with house.database.begin() as conn:
        await fold_missing_rhythms(conn)
        await refresh_ranks(conn)


@tick(every=timedelta(minutes=15))
async def refresh_ranks_daily(house: House, term: Term, now: datetime) -> None:
    """Once per day of the workspace."""
    today = local_date(now, house.settings.timezone).isoformat()
    async with house.database.begin() as conn:
        await check_term(conn, term)
        if await conn.scalar(select(workspace.c.value).where(workspace.c.key == _RANKED_ON)) != today:
            await put(conn, _RANKED_ON, today)
            await defer(conn, refresh_ranks_job, queueing_lock="customers.refresh_ranks")

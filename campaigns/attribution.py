"""Orders that a campaign led to: last touch by a person's click, within 30 days.

An order belongs to the campaign whose link its customer clicked last before it, if that was at most 30 days before;
opens and machines do not count. Orders count while they are completed or partly refunded, money less what was refunded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WINDOW_DAYS = 30


@dataclass(frozen=True)
class Earned:
    orders: int = 0
    revenue: Decimal = Decimal(0)


async def earned(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, Earned]:
    """Of each of these campaigns that led to an order."""
    rows = await conn.execute(_EARNED, {"campaigns": list(campaign_ids), "days": WINDOW_DAYS})
    return {row.campaign_id: Earned(row.orders, row.revenue) for row in rows}


COUNTING = "o.status IN ('completed', 'partly_refunded')"

# Each order of those who clicked, with the campaign and the run of the last touch; both are NULL without one in time.
_TOUCHED = f"""
    SELECT o.customer_id, o.amount - o.refunded AS revenue, touch.campaign_id, touch.run_id
    FROM (SELECT DISTINCT customer_id FROM messages WHERE {{clickers}} AND clicked_at IS NOT NULL) clickers
    JOIN orders o ON o.customer_id = clickers.customer_id AND {COUNTING}
    JOIN LATERAL (
        SELECT e.campaign_id, e.run_id FROM events e
        WHERE e.customer_id = o.customer_id AND e.kind = 'clicked' AND NOT e.machine
          AND e.at <= o.ordered_at AND e.at > o.ordered_at - make_interval(days => :days)
        ORDER BY e.at DESC LIMIT 1
    ) touch ON true
"""  # noqa: S608 -- our own words

_EARNED = text(f"""
    SELECT campaign_id, count(*) AS orders, sum(revenue) AS revenue
    FROM ({_TOUCHED.format(clickers="campaign_id = ANY (CAST(:campaigns AS bigint[]))")}) touched
    WHERE campaign_id = ANY (CAST(:campaigns AS bigint[]))
    GROUP BY campaign_id
""")  # noqa: S608

BY_PERSON = f"""
    SELECT customer_id, run_id, count(*) AS orders, sum(revenue) AS revenue
    FROM ({_TOUCHED.format(clickers="run_id = ANY (CAST(:runs AS bigint[]))")}) touched
    WHERE run_id = ANY (CAST(:runs AS bigint[]))
    GROUP BY customer_id, run_id
"""  # noqa: S608 -- for `:runs` and `:days`: what each person's clicks in a run led to

"""Orders that campaigns led to, by three models over the same touches.

A touch is a message that a person answered before the order: clicked at most `click_days` before it, or opened (or
viewed in a browser) at most `open_days` before it; what machines did is none. `last`, the default, gives the order to
the message that was touched last, `first` to the one touched first, `linear` to all of them in equal shares. Orders
count while they are completed or partly refunded, money less what was refunded; nothing is kept, so that orders that
arrive late, refunds and clicks that turn out to be a machine's change the credit at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.windows import Windows, windows_now


class Model(StrEnum):
    LAST = "last"
    FIRST = "first"
    LINEAR = "linear"


@dataclass(frozen=True)
class Earned:
    """`orders`: a sum of shares under `linear`, of which an order's are exactly 1 together, as their money is exactly
    the order's. `margin`: of orders whose costs are known, less what refunds took of it in proportion."""

    orders: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)

    def __add__(self, other: Earned) -> Earned:
        return Earned(self.orders + other.orders, self.revenue + other.revenue, self.margin + other.margin)


Credit = Mapping[Model, Earned]
NOTHING: Credit = {model: Earned() for model in Model}


async def earned(conn: AsyncConnection, campaign_ids: Sequence[int], model: Model = Model.LAST) -> dict[int, Earned]:
    """Of each of these campaigns that led to an order, by the workspace's windows."""
    return {
        found: models[model] for found, models in (await compared(conn, campaign_ids)).items() if models[model].orders
    }


async def compared(
    conn: AsyncConnection, campaign_ids: Sequence[int], windows: Windows | None = None
) -> dict[int, Credit]:
    """Each of these campaigns that had a part in an order, by every model. `windows`: other than the workspace's."""
    by_run = await compared_by_run(conn, campaign_ids, windows)
    return {campaign_id: together(runs.values()) for campaign_id, runs in by_run.items()}


async def compared_by_run(
    conn: AsyncConnection, campaign_ids: Sequence[int], windows: Windows | None = None
) -> dict[int, dict[int, Credit]]:
    """The same by campaign and run."""
    values = {"campaigns": list(campaign_ids), **window_values(windows or await windows_now(conn))}
    found: dict[int, dict[int, Credit]] = {}
    for row in await conn.execute(_COMPARED, values):
        found.setdefault(row.campaign_id, {})[row.run_id] = {model: _earned(row, model) for model in Model}
    return found


def together(several: Iterable[Credit]) -> Credit:
    """The sum of several."""
    summed = dict(NOTHING)
    for credit in several:
        summed = {model: summed[model] + credit[model] for model in Model}
    return summed


def window_values(windows: Windows) -> dict[str, int]:
    """The parameters of BY_PERSON."""
    return {
        "click_days": windows.click_days,
        "open_days": windows.open_days,
        "longest": max(windows.click_days, windows.open_days),
    }


def _earned(row: Any, model: Model) -> Earned:
    figures = [Decimal(getattr(row, f"{model}_{name}")) for name in ("orders", "revenue", "margin")]
    return Earned(*figures)


COUNTING = "o.status IN ('completed', 'partly_refunded')"
REVENUE = "o.amount - o.refunded"
MARGIN = "round(coalesce(o.margin * (o.amount - o.refunded) / nullif(o.amount, 0), 0), 4)"

# Each order of whoever answered one of `which` messages, beside every message that was touched in time. A merged
# customer's messages may have stayed with the old id (tracking/models.py); their orders did not.
_TOUCHED = f"""
    WITH people AS MATERIALIZED (
        SELECT DISTINCT coalesce(c.merged_into, c.id) AS customer_id
        FROM messages m JOIN customers c ON c.id = m.customer_id WHERE {{which}}
          AND (m.opened_at IS NOT NULL OR m.clicked_at IS NOT NULL)
    ), ids AS MATERIALIZED (
        SELECT customer_id, customer_id AS id FROM people
        UNION ALL SELECT p.customer_id, c.id FROM people p JOIN customers c ON c.merged_into = p.customer_id
    ), touches AS (
        SELECT o.customer_id, o.number, {REVENUE} AS revenue, {MARGIN} AS margin, e.campaign_id, e.run_id,
               min(e.at) AS first_at, max(e.at) AS last_at
        FROM people p JOIN orders o ON o.customer_id = p.customer_id AND {COUNTING}
        JOIN ids ON ids.customer_id = p.customer_id
        JOIN events e ON e.customer_id = ids.id AND NOT e.machine AND e.run_id IS NOT NULL
         AND e.kind IN ('clicked', 'opened', 'viewed')
         AND e.at <= o.ordered_at AND e.at > o.ordered_at - make_interval(days => :longest)
         AND e.at > o.ordered_at
             - make_interval(days => CASE WHEN e.kind = 'clicked' THEN :click_days ELSE :open_days END)
        GROUP BY o.customer_id, o.number, o.amount, o.refunded, o.margin, e.campaign_id, e.run_id
    ), placed AS (
        SELECT touches.*, count(*) OVER (PARTITION BY customer_id, number) AS n,
               row_number() OVER (PARTITION BY customer_id, number ORDER BY first_at, run_id) AS place,
               row_number() OVER (PARTITION BY customer_id, number ORDER BY last_at DESC, run_id DESC) AS from_last
        FROM touches
    )
"""  # noqa: S608 -- our own words


def _linear(whole: str, places: int) -> str:
    """The share of the touch at `place` of `n`: what is rounded off one is in the next, and the last has the rest."""

    def upto(place: str) -> str:
        return f"CASE WHEN {place} = n THEN {whole} ELSE round({whole} * {place} / n, {places}) END"

    return f"sum(({upto('place')}) - ({upto('(place - 1)')}))"


_COMPARED = text(f"""
    {_TOUCHED.format(which="m.campaign_id = ANY (CAST(:campaigns AS bigint[]))")}
    SELECT campaign_id, run_id,
        count(*) FILTER (WHERE from_last = 1) AS last_orders,
        coalesce(sum(revenue) FILTER (WHERE from_last = 1), 0) AS last_revenue,
        coalesce(sum(margin) FILTER (WHERE from_last = 1), 0) AS last_margin,
        count(*) FILTER (WHERE place = 1) AS first_orders,
        coalesce(sum(revenue) FILTER (WHERE place = 1), 0) AS first_revenue,
        coalesce(sum(margin) FILTER (WHERE place = 1), 0) AS first_margin,
        {_linear("CAST(1 AS numeric)", 6)} AS linear_orders,
        {_linear("revenue", 2)} AS linear_revenue,
        {_linear("margin", 2)} AS linear_margin
    FROM placed WHERE campaign_id = ANY (CAST(:campaigns AS bigint[])) GROUP BY campaign_id, run_id
""")  # noqa: S608

BY_PERSON = f"""
    {_TOUCHED.format(which="m.run_id = ANY (CAST(:runs AS bigint[]))")}
    SELECT customer_id, run_id, count(*) AS orders, sum(revenue) AS revenue
    FROM placed WHERE from_last = 1 AND run_id = ANY (CAST(:runs AS bigint[]))
    GROUP BY customer_id, run_id
"""  # noqa: S608 -- for `:runs` and `window_values`: what each person's last touches of a run led to

"""Activity: folds of facts, one row a customer. This module folds orders; tracking/ folds messages and events."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, change_and_note

# Orders less than 24 hours apart are one purchase; `pauses` are those between purchases. What is added to the last
# order are seconds: days would be days of the session's time zone.
_FOLD_ORDERS = """
    UPDATE activity SET orders_count = folded.orders_count, total_spent = folded.total_spent,
        average_order_value = folded.average_order_value, gross_margin = folded.gross_margin,
        first_order_at = folded.first_order_at, last_order_at = folded.last_order_at,
        order_gap_days = folded.order_gap_days, next_order_expected_at = folded.next_order_expected_at,
        chance_active = CASE WHEN activity.last_order_at = folded.last_order_at THEN activity.chance_active END,
        orders_expected = CASE WHEN activity.last_order_at = folded.last_order_at THEN activity.orders_expected END
    FROM (
        SELECT customer_id, orders_count, total_spent, average_order_value, gross_margin, first_order_at, last_order_at,
            round(seconds / nullif(pauses, 0) / 86400, 4) AS order_gap_days,
            last_order_at + CAST(seconds / nullif(pauses, 0) AS float8) * interval '1 second' AS next_order_expected_at
        FROM (
            SELECT customer_id, count(ordered_at)::int AS orders_count, coalesce(sum(paid), 0) AS total_spent,
                round(avg(paid), 4) AS average_order_value, sum(margin) AS gross_margin,
                min(ordered_at) AS first_order_at, max(ordered_at) AS last_order_at,
                count(*) FILTER (WHERE pause >= interval '24 hours') AS pauses,
                extract(epoch FROM max(ordered_at) - min(ordered_at)) AS seconds
            FROM (
                SELECT a.customer_id, o.amount - o.refunded AS paid, o.margin, o.ordered_at,
                    o.ordered_at - lag(o.ordered_at) OVER (PARTITION BY a.customer_id ORDER BY o.ordered_at) AS pause
                FROM activity a LEFT JOIN orders o
                    ON o.customer_id = a.customer_id AND o.status IN ('completed', 'partly_refunded')
                {which}
            ) counted
            GROUP BY customer_id
        ) summed
    ) folded
    WHERE activity.customer_id = folded.customer_id AND (
        activity.orders_count, activity.total_spent, activity.average_order_value, activity.gross_margin,
        activity.first_order_at, activity.last_order_at, activity.order_gap_days, activity.next_order_expected_at
    ) IS DISTINCT FROM (
        folded.orders_count, folded.total_spent, folded.average_order_value, folded.gross_margin,
        folded.first_order_at, folded.last_order_at, folded.order_gap_days, folded.next_order_expected_at
    )
    RETURNING activity.customer_id
"""
_FOLD_SOME = _FOLD_ORDERS.format(which="WHERE a.customer_id = ANY(CAST(:ids AS bigint[]))")
_FOLD_ALL = _FOLD_ORDERS.format(which="")
_FOLD_LACKING = _FOLD_ORDERS.format(
    which="""WHERE a.next_order_expected_at IS NULL AND a.orders_count > 1
                AND a.last_order_at >= a.first_order_at + interval '24 hours'"""
)


async def fold_orders(conn: AsyncConnection, ids: Collection[int] | None = None) -> int:
    """Recompute what activity says of the orders of these customers (None: of all); how many rows differed.

    Completed and partly refunded orders count; money is amount − refunded. Who bought more than once has a rhythm:
    `order_gap_days`, the mean pause between purchases; `next_order_expected_at` is the last order plus one such pause.
    Another last order makes what was estimated of them void (customers/chances.py).
    """
    if ids is None:
        return await change_and_note(conn, ACTIVITY, _FOLD_ALL)
    return await change_and_note(conn, ACTIVITY, _FOLD_SOME, {"ids": sorted(ids)}) if ids else 0


async def fold_missing_rhythms(conn: AsyncConnection) -> int:
    """Give a rhythm to those whose orders were folded before there was one; how many rows differed."""
    return await change_and_note(conn, ACTIVITY, _FOLD_LACKING)

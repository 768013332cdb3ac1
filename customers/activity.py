"""Activity: folds of facts, one row a customer. This module folds orders; tracking/ folds messages and events."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ARRAY, BigInteger, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

_FOLD_ORDERS = """
    UPDATE activity SET orders_count = folded.orders_count, total_spent = folded.total_spent,
        average_order_value = folded.average_order_value, gross_margin = folded.gross_margin,
        first_order_at = folded.first_order_at, last_order_at = folded.last_order_at
    FROM (
        SELECT a.customer_id, count(o.customer_id)::int AS orders_count,
            coalesce(sum(o.amount - o.refunded), 0) AS total_spent,
            round(avg(o.amount - o.refunded), 4) AS average_order_value, sum(o.margin) AS gross_margin,
            min(o.ordered_at) AS first_order_at, max(o.ordered_at) AS last_order_at
        FROM activity a LEFT JOIN orders o
            ON o.customer_id = a.customer_id AND o.status IN ('completed', 'partly_refunded')
        {which} GROUP BY a.customer_id
    ) folded
    WHERE activity.customer_id = folded.customer_id AND (
        activity.orders_count, activity.total_spent, activity.average_order_value, activity.gross_margin,
        activity.first_order_at, activity.last_order_at
    ) IS DISTINCT FROM (
        folded.orders_count, folded.total_spent, folded.average_order_value, folded.gross_margin,
        folded.first_order_at, folded.last_order_at
    )
"""
_FOLD_SOME = text(_FOLD_ORDERS.format(which="WHERE a.customer_id = ANY(:ids)")).bindparams(
    bindparam("ids", type_=ARRAY(BigInteger))
)
_FOLD_ALL = text(_FOLD_ORDERS.format(which=""))


async def fold_orders(conn: AsyncConnection, ids: Collection[int] | None = None) -> int:
    """Recompute what activity says of the orders of these customers (None: of all); how many rows differed.

    Completed and partly refunded orders count; money is amount − refunded.
    """
    if ids is None:
        return (await conn.execute(_FOLD_ALL)).rowcount
    return (await conn.execute(_FOLD_SOME, {"ids": sorted(ids)})).rowcount if ids else 0

"""Folds rebuilt from facts: after normal running nothing differs; what does is set right and told.

Facts are the events, what was kept of those that were put away (tracking/retention.py), and the messages' own states;
`messages` and `activity` keep folds of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_orders
from customers.changes import ACTIVITY, change_and_note
from customers.ratings import fold_ratings
from tracking.folds import SCORES, SEEN_OF_MESSAGES, SEEN_OF_PEOPLE


@dataclass(frozen=True)
class Differences:
    """How many rows differed: messages in what came of them, customers in their activity, customers in their orders,
    ratings in whether they count and customers in what they last answered."""

    messages: int
    activity: int
    orders: int
    ratings: int = 0

    @property
    def total(self) -> int:
        return self.messages + self.activity + self.orders + self.ratings


_counted_whole: dict[str, Callable[[AsyncConnection], Awaitable[None]]] = {}


def register_counted_whole(name: str, forget: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    """Another room keeps figures that it counts from the facts as a whole: `forget` has them counted anew."""
    _counted_whole[name] = forget


async def recount(conn: AsyncConnection) -> Differences:
    """Rebuild every fold, in the order in which they build on each other; nothing may be written meanwhile."""
    await conn.execute(_LOCK)
    messages = await change_and_note(conn, "messages", _MESSAGES)
    activity = await change_and_note(conn, ACTIVITY, _ACTIVITY)
    found = Differences(messages, activity, await fold_orders(conn), await fold_ratings(conn))
    for forget in _counted_whole.values():
        await forget(conn)
    return found


async def recount_campaign(conn: AsyncConnection, campaign_id: int) -> int:
    """Rebuild what is counted of the messages of one campaign; how many differed. Takes what its own events take."""
    await conn.execute(_LOCK)
    return await change_and_note(conn, "messages", _MESSAGES_OF_CAMPAIGN, {"campaign": campaign_id})


async def fold_missing_scores(conn: AsyncConnection) -> int:
    """Give a score to those whose messages were answered before scores faded; how many rows differed."""
    return await change_and_note(conn, ACTIVITY, _FOLD_LACKING)


_LOCK = text("LOCK TABLE messages, events, past_folds, activity, orders, ratings IN SHARE ROW EXCLUSIVE MODE")

# In whatever order points are joined, the sum differs in its last digit: by microseconds a time, of a half-life of
# months. More than a second is a difference.
LAST_DIGIT = 1.0

_REFOLD = f"""
    UPDATE messages m SET opens = f.opens, clicks = f.clicks, opened_at = f.opened_at, clicked_at = f.clicked_at,
        machine_opened_at = f.machine_opened_at, machine_clicked_at = f.machine_clicked_at,
        unsubscribed_at = f.unsubscribed_at, complained_at = f.complained_at
    FROM (
        SELECT m.customer_id, m.run_id, m.step, coalesce(seen.opens, 0) AS opens, coalesce(seen.clicks, 0) AS clicks,
            seen.opened_at, seen.clicked_at, seen.machine_opened_at, seen.machine_clicked_at,
            CASE WHEN said.back IS NULL OR said.gone > said.back THEN said.gone END AS unsubscribed_at,
            said.complained_at
        FROM messages m
        LEFT JOIN ({SEEN_OF_MESSAGES}) seen
            ON seen.customer_id = m.customer_id AND seen.run_id = m.run_id AND seen.step = m.step
        LEFT JOIN (
            SELECT customer_id, run_id, step, max(at) FILTER (WHERE kind = 'unsubscribed') AS gone,
                max(at) FILTER (WHERE kind = 'resubscribed') AS back,
                min(at) FILTER (WHERE kind = 'complained') AS complained_at
            FROM events e {{of_events}}
            WHERE run_id IS NOT NULL AND kind IN ('unsubscribed', 'resubscribed', 'complained') GROUP BY 1, 2, 3
        ) said ON said.customer_id = m.customer_id AND said.run_id = m.run_id AND said.step = m.step
        WHERE {{which}}
    ) f
    WHERE m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step AND (
        m.opens, m.clicks, m.opened_at, m.clicked_at, m.machine_opened_at, m.machine_clicked_at, m.unsubscribed_at,
        m.complained_at
    ) IS DISTINCT FROM (
        f.opens, f.clicks, f.opened_at, f.clicked_at, f.machine_opened_at, f.machine_clicked_at, f.unsubscribed_at,
        f.complained_at
    )
    RETURNING m.customer_id
"""  # noqa: S608 -- put together from our own words

_MESSAGES = _REFOLD.format(of_events="", of_past="", which="true")
_MESSAGES_OF_CAMPAIGN = _REFOLD.format(
    of_events="JOIN (VALUES (CAST(:campaign AS bigint))) asked(id) ON e.campaign_id = asked.id",
    of_past="""
        JOIN messages m ON m.customer_id = p.customer_id AND m.run_id = p.run_id AND m.step = p.step
            AND m.campaign_id = CAST(:campaign AS bigint)
    """,
    which="m.campaign_id = CAST(:campaign AS bigint)",
)

_ACTIVITY = f"""
    UPDATE activity a SET last_contacted_at = f.last_contacted_at, last_opened_at = f.last_opened_at,
        last_clicked_at = f.last_clicked_at, engaged_until = f.engaged_until
    FROM (
        SELECT a.customer_id, sent.last_contacted_at, seen.last_opened_at, seen.last_clicked_at, score.engaged_until
        FROM activity a
        LEFT JOIN (
            SELECT coalesce(c.merged_into, c.id) AS customer_id, max(m.sent_at) AS last_contacted_at
            FROM messages m JOIN customers c ON c.id = m.customer_id GROUP BY 1
        ) sent ON sent.customer_id = a.customer_id
        LEFT JOIN ({SEEN_OF_PEOPLE.format(which="true")}) seen ON seen.customer_id = a.customer_id
        LEFT JOIN ({SCORES.format(which="true")}) score ON score.customer_id = a.customer_id
    ) f
    WHERE a.customer_id = f.customer_id AND (
        (a.last_contacted_at, a.last_opened_at, a.last_clicked_at)
            IS DISTINCT FROM (f.last_contacted_at, f.last_opened_at, f.last_clicked_at)
        OR (a.engaged_until IS NULL) <> (f.engaged_until IS NULL)
        OR abs(extract(epoch FROM a.engaged_until - f.engaged_until)) > {LAST_DIGIT}
    )
    RETURNING a.customer_id
"""  # noqa: S608

_FOLD_LACKING = f"""
    UPDATE activity a SET engaged_until = score.engaged_until
    FROM ({SCORES.format(which="true")}) score
    WHERE a.customer_id = score.customer_id AND a.engaged_until IS NULL RETURNING a.customer_id
"""  # noqa: S608

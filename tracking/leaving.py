"""Events leave the database, some people's in a transaction: what they said goes on in the tables of the past, so that
every fold and report stays as it was, and readers see each of them in one place or the other.

Two kinds stay, in the table of the past (`tracking.partitions`): people's words and complaints, which prove why they
are not written to; and what people did within LONGEST_WINDOW before they ordered, which tells what the order is
credited to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import take_turn
from customers.changes import note_changed
from tracking.folds import MESSAGE_FOLD, PERSON_FOLD, SEEN_KINDS
from tracking.partitions import month_of

LONGEST_WINDOW = timedelta(days=365)  # that campaigns may look back from an order (campaigns/windows.py)
BATCH = 20_000  # events, about: nobody's are taken apart
TABLE = "leaving"
"""What leaves in the present transaction: a temporary table with the columns of `events`."""


@dataclass(frozen=True)
class Left:
    """`events` left, of those customers up to `until`; None: nobody is behind them."""

    events: int
    until: int | None


async def leaving_count(conn: AsyncConnection, table: str, before: datetime) -> int:
    """How many events of a partition would leave."""
    return int(await conn.scalar(_statement(_COUNT, table), {"before": before}) or 0)


async def take_out(conn: AsyncConnection, table: str, before: datetime, after: int, batch: int = BATCH) -> Left:
    """Take the next events of the partition `table`, about `batch`, of customers behind `after`, out of the database;
    TABLE holds them until the transaction ends."""
    await take_turn(conn)  # so that nobody is erased or merged meanwhile
    until = await conn.scalar(_statement(_UNTIL, table), {"after": after, "batch": batch})
    if until is None:
        return Left(0, None)
    await conn.execute(_ROOM)
    taken = await conn.execute(_statement(_TAKE, table), {"after": after, "until": until, "before": before})
    if taken.rowcount:
        for statement in (_FOLD, _CLICKS, _HOURS):
            await conn.execute(statement)
        found = (await conn.execute(_LEFT)).one()
        later = {"later": month_of(found.last, 1), "campaigns": found.campaigns}
        await conn.execute(_AGENTS, {"after": after, "until": until, **later})
        people = (await conn.execute(text(f"SELECT DISTINCT customer_id FROM {TABLE}"))).scalars()  # noqa: S608
        await note_changed(conn, "events", set(people))
    return Left(taken.rowcount, int(until))


def _statement(template: str, table: str) -> TextClause:
    return text(template.format(table=table))


_KINDS = ", ".join(f"'{kind}'" for kind in SEEN_KINDS)
_LEAVES = f"""
    e.at < :before AND e.kind NOT IN ('unsubscribed', 'resubscribed', 'complained') AND NOT (
        e.kind IN ({_KINDS}) AND NOT e.machine AND e.run_id IS NOT NULL AND EXISTS (
            SELECT FROM customers c JOIN orders o ON o.customer_id = coalesce(c.merged_into, c.id)
            WHERE c.id = e.customer_id AND o.ordered_at >= e.at
              AND o.ordered_at <= e.at + interval '{LONGEST_WINDOW.days} days'
        )
    )
"""
_COUNT = f"SELECT count(*) FROM {{table}} e WHERE {_LEAVES}"  # noqa: S608
_UNTIL = """
    SELECT max(customer_id) FROM (
        SELECT customer_id FROM {table} WHERE customer_id > :after ORDER BY customer_id LIMIT :batch
    ) next
"""
_ROOM = text(f"CREATE TEMPORARY TABLE {TABLE} (LIKE events) ON COMMIT DROP")
_TAKE = f"""
    WITH gone AS (
        DELETE FROM {{table}} e WHERE e.customer_id > :after AND e.customer_id <= :until AND {_LEAVES} RETURNING e.*
    )
    INSERT INTO {TABLE} SELECT * FROM gone
"""  # noqa: S608

_FOLD = text(f"""
    INSERT INTO past_folds (customer_id, run_id, step, opens, clicks, opened_at, clicked_at, machine_opened_at,
                            machine_clicked_at, last_opened_at, last_clicked_at)
    SELECT customer_id, run_id, step, {MESSAGE_FOLD}, {PERSON_FOLD}
    FROM {TABLE} WHERE run_id IS NOT NULL AND kind IN ({_KINDS}) GROUP BY 1, 2, 3
    ON CONFLICT (customer_id, run_id, step) DO UPDATE SET
        opens = past_folds.opens + excluded.opens, clicks = past_folds.clicks + excluded.clicks,
        opened_at = least(past_folds.opened_at, excluded.opened_at),
        clicked_at = least(past_folds.clicked_at, excluded.clicked_at),
        machine_opened_at = least(past_folds.machine_opened_at, excluded.machine_opened_at),
        machine_clicked_at = least(past_folds.machine_clicked_at, excluded.machine_clicked_at),
        last_opened_at = greatest(past_folds.last_opened_at, excluded.last_opened_at),
        last_clicked_at = greatest(past_folds.last_clicked_at, excluded.last_clicked_at)
""")  # noqa: S608
_CLICKS = text(f"""
    INSERT INTO past_clicks (customer_id, run_id, step, link, campaign_id, clicks, machine_clicks)
    SELECT customer_id, run_id, step, link, campaign_id, count(*) FILTER (WHERE NOT machine),
           count(*) FILTER (WHERE machine)
    FROM {TABLE} WHERE run_id IS NOT NULL AND kind = 'clicked' AND link IS NOT NULL GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (customer_id, run_id, step, link) DO UPDATE SET clicks = past_clicks.clicks + excluded.clicks,
        machine_clicks = past_clicks.machine_clicks + excluded.machine_clicks
""")  # noqa: S608
_HOURS = text(f"""
    INSERT INTO past_hours (campaign_id, at, opened, clicked)
    SELECT campaign_id, date_trunc('hour', at, 'UTC'), count(*) FILTER (WHERE kind = 'opened'),
           count(*) FILTER (WHERE kind = 'clicked')
    FROM {TABLE} WHERE campaign_id IS NOT NULL AND kind IN ('opened', 'clicked') AND NOT machine GROUP BY 1, 2
    ON CONFLICT (campaign_id, at) DO UPDATE SET opened = past_hours.opened + excluded.opened,
        clicked = past_hours.clicked + excluded.clicked
""")  # noqa: S608
_LEFT = text(f"SELECT max(at) AS last, array_agg(DISTINCT campaign_id) AS campaigns FROM {TABLE}")  # noqa: S608
_READ_ON = f"""
    SELECT e.customer_id, e.campaign_id, e.attributes ->> 'user_agent' AS agent FROM {{table}} e
    WHERE e.campaign_id IS NOT NULL AND e.kind IN ({_KINDS}) AND NOT e.machine
      AND e.attributes ->> 'user_agent' IS NOT NULL
"""  # noqa: S608
# Who came with the same agent again, in what stays or later, is counted by that: of these people what is left of the
# month and before, of these campaigns what came after it.
_AGENTS = text(f"""
    WITH staying AS MATERIALIZED (
        {_READ_ON.format(table="events")} AND e.customer_id > :after AND e.customer_id <= :until AND e.at < :later
        UNION
        {_READ_ON.format(table="events")} AND e.campaign_id = ANY (CAST(:campaigns AS bigint[])) AND e.at >= :later
    )
    INSERT INTO past_agents (campaign_id, agent, people)
    SELECT campaign_id, agent, count(*) FROM (
        SELECT * FROM ({_READ_ON.format(table=TABLE)}) leaving_now EXCEPT SELECT * FROM staying
    ) seen
    GROUP BY 1, 2
    ON CONFLICT (campaign_id, agent) DO UPDATE SET people = past_agents.people + excluded.people
""")  # noqa: S608

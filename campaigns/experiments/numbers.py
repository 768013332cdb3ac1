"""What came of the variants of runs, from the database: by people, machines are counted for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.attribution import BY_PERSON, WINDOW_DAYS
from campaigns.experiments.verdict import Tally


async def tallies(conn: AsyncConnection, run_ids: Sequence[int]) -> dict[int, dict[int | None, Tally]]:
    """By run and variant; None: the rest."""
    found: dict[int, dict[int | None, Tally]] = {run_id: {} for run_id in run_ids}
    for row in await conn.execute(_TALLIES, {"runs": list(run_ids), "days": WINDOW_DAYS}):
        numbers = (
            row.sent,
            row.opened,
            row.clicked,
            int(row.orders),
            row.buyers,
            float(row.revenue),
            float(row.squares),
        )
        found[row.run_id][row.variant] = Tally(*numbers)
    return found


_TALLIES = text(f"""
    WITH bought AS ({BY_PERSON})
    SELECT m.run_id, m.variant, count(*) AS sent, count(m.opened_at) AS opened, count(m.clicked_at) AS clicked,
           coalesce(sum(b.orders), 0) AS orders, count(b.customer_id) AS buyers, coalesce(sum(b.revenue), 0) AS revenue,
           coalesce(sum(CAST(b.revenue AS double precision) ^ 2), 0) AS squares
    FROM messages m LEFT JOIN bought b ON b.customer_id = m.customer_id AND b.run_id = m.run_id
    WHERE m.run_id = ANY (CAST(:runs AS bigint[])) AND m.sent_at IS NOT NULL
    GROUP BY m.run_id, m.variant
""")  # noqa: S608 -- our own words

"""What came of the variants of runs, from the database: by people, machines are counted for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.attribution import BY_PERSON, window_values
from campaigns.experiments.verdict import Tally
from campaigns.windows import windows_now


async def tallies(conn: AsyncConnection, run_ids: Sequence[int]) -> dict[int, dict[int | None, Tally]]:
    """By run and variant; None: the rest."""
    found: dict[int, dict[int | None, Tally]] = {run_id: {} for run_id in run_ids}
    windows = window_values(await windows_now(conn))
    for row in await conn.execute(_TALLIES, {"runs": list(run_ids), **windows}):
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


# Messages and what was bought meet as sums, so that no join is larger than the number of those who bought.
_TALLIES = text(f"""
    WITH reached AS (
        SELECT run_id, variant, count(*) AS sent, count(opened_at) AS opened, count(clicked_at) AS clicked
        FROM messages WHERE run_id = ANY (CAST(:runs AS bigint[])) AND sent_at IS NOT NULL GROUP BY run_id, variant
    ), bought AS (
        SELECT m.run_id, m.variant, count(*) AS buyers, sum(b.orders) AS orders, sum(b.revenue) AS revenue,
               sum(CAST(b.revenue AS double precision) ^ 2) AS squares
        FROM ({BY_PERSON}) b JOIN messages m ON m.customer_id = b.customer_id AND m.run_id = b.run_id
        WHERE m.sent_at IS NOT NULL GROUP BY m.run_id, m.variant
    )
    SELECT r.*, coalesce(b.buyers, 0) AS buyers, coalesce(b.orders, 0) AS orders, coalesce(b.revenue, 0) AS revenue,
           coalesce(b.squares, 0) AS squares
    FROM reached r LEFT JOIN bought b ON b.run_id = r.run_id AND b.variant IS NOT DISTINCT FROM r.variant
""")  # noqa: S608 -- our own words

"""Messages that wait for a better moment, without having been tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.ledger import MessageKey


async def put_off(conn: AsyncConnection, until: Sequence[tuple[MessageKey, datetime]]) -> None:
    """Their domain wants a pause: nobody takes these before their time. Those that are no longer queued stay as they
    are. No rule of a segment can see it, so nothing is noted. The caller owns the transaction."""
    if not until:
        return
    ordered = sorted(until)
    values = {
        "people": [key.customer_id for key, _ in ordered],
        "runs": [key.run_id for key, _ in ordered],
        "steps": [key.step for key, _ in ordered],
        "until": [at for _, at in ordered],
    }
    await conn.execute(_PUT_OFF, values)


async def bring_back(
    conn: AsyncConnection, run_ids: Sequence[int], domains: Sequence[str], *, at: datetime
) -> dict[int, int]:
    """What these recipient domains put off in these runs, before it was tried or when it was, is due `at`; how many of
    each run. What waits for its own time is left alone."""
    values = {"runs": list(run_ids), "domains": list(domains), "at": at}
    return {row.run_id: row.n for row in await conn.execute(_BRING_BACK, values)}


_BRING_BACK = text("""
    WITH back AS (
        UPDATE messages SET not_before = :at, put_off_at = NULL
        WHERE run_id = ANY (CAST(:runs AS bigint[])) AND state = 'queued' AND not_before > :at
          AND (put_off_at IS NOT NULL OR attempts > 0 AND reason ~ '^4[0-9][0-9] ')
          AND lower(split_part(address, '@', 2)) = ANY (CAST(:domains AS text[]))
        RETURNING run_id
    )
    SELECT run_id, count(*) AS n FROM back GROUP BY run_id
""")

_PUT_OFF = text("""
    UPDATE messages m SET not_before = o.until, put_off_at = now()
    FROM unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]),
                CAST(:until AS timestamptz[])) AS o(customer_id, run_id, step, until)
    WHERE m.customer_id = o.customer_id AND m.run_id = o.run_id AND m.step = o.step AND m.state = 'queued'
""")

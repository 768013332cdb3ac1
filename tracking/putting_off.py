"""Messages that wait for a better moment, without having been tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.ledger import MessageKey


async def put_off(conn: AsyncConnection, until: Sequence[tuple[MessageKey, datetime]]) -> None:
    """Nobody takes these before their time; those that are no longer queued stay as they are. No rule of a segment can
    see it, so nothing is noted. The caller owns the transaction."""
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


_PUT_OFF = text("""
    UPDATE messages m SET not_before = o.until
    FROM unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]),
                CAST(:until AS timestamptz[])) AS o(customer_id, run_id, step, until)
    WHERE m.customer_id = o.customer_id AND m.run_id = o.run_id AND m.step = o.step AND m.state = 'queued'
""")

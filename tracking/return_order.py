"""Reports that came in another order than what they tell of: the ledger ends as if they had come in order.

The table of moves takes the first report that it hears. Where an earlier bounce is heard later, its time and words
count; what was delivered before it bounced was delivered, though nobody had said so by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.ledger import MessageKey, Outcome
from tracking.states import State


async def put_in_order(conn: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    """After they were recorded."""
    bounced = _earliest(each for each in outcomes if each.state is State.BOUNCED)
    delivered = _earliest(each for each in outcomes if each.state is State.DELIVERED)
    for statement, told in ((_BOUNCED_BEFORE, bounced), (_DELIVERED_BEFORE, delivered)):
        if told:
            values = {
                "people": [each.key.customer_id for each in told],
                "runs": [each.key.run_id for each in told],
                "steps": [each.key.step for each in told],
                "at": [each.at for each in told],
                "reasons": [each.reason for each in told],
            }
            await conn.execute(statement, values)


def _earliest(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The first of each message, by its key, so that two who write the same wait for each other."""
    found: dict[MessageKey, Outcome] = {}
    for each in sorted(outcomes, key=lambda one: (one.key, one.at)):
        found.setdefault(each.key, each)
    return list(found.values())


_TOLD = """
    FROM unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]),
                CAST(:at AS timestamptz[]), CAST(:reasons AS text[]))
         AS f(customer_id, run_id, step, at, reason)
    WHERE m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step AND m.state = 'bounced'
"""
_BOUNCED_BEFORE = text(f"UPDATE messages m SET failed_at = f.at, reason = f.reason {_TOLD} AND f.at < m.failed_at")  # noqa: S608 -- our own words
_DELIVERED_BEFORE = text(
    f"UPDATE messages m SET delivered_at = f.at {_TOLD} AND m.delivered_at IS NULL AND f.at <= m.failed_at"  # noqa: S608
)

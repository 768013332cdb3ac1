"""One message an address and, on wish, one a household.

Without the wish the customer of the lowest id keeps an address. With it the written rule is: all who would get a
message stand in one row, who is engaged most first (engagement score, then the last open or click of their own, then
the lowest id); whoever comes gets the message unless one before them that gets it lives in the same household or has
the same address. So no home and no address is written to twice, also where two households share an address, and nobody
goes without because of somebody who gets nothing. People without a household count as one each.

That row is worked off in rounds, all who are first both in their household and at their address at a time, which comes
to the same as one by one; two or three rounds do for real people.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Update, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.models import messages
from tracking.states import State

DUPLICATE = "duplicate_address"


async def skip_duplicates(conn: AsyncConnection, run_id: int, *, one_per_household: bool) -> None:
    """Skip those of a run just frozen whose message would be one too many."""
    if one_per_household:
        await conn.execute(_RIVALS, {"run": run_id})
        await conn.execute(text("ANALYZE rivals"))
    async with _without_loops(conn):
        if one_per_household:
            await _work_off_rivals(conn, run_id)
        else:
            await conn.execute(_skip_same_address(run_id))


async def _work_off_rivals(conn: AsyncConnection, run_id: int) -> None:
    while (await conn.execute(_CHOOSE)).rowcount:
        await conn.execute(_LOSE)
    await conn.execute(_SKIP_LOSERS, {"run": run_id})
    await conn.execute(text("DROP TABLE rivals"))


@asynccontextmanager
async def _without_loops(conn: AsyncConnection) -> AsyncIterator[None]:
    """The planner knows nothing yet of rows written a moment ago: where the table was analysed before, it takes a run
    for empty, and a join of its rows with themselves for a loop that is soon over. Hashed, it costs one pass."""
    await conn.execute(_LOOPS, {"allowed": "off"})
    yield
    await conn.execute(_LOOPS, {"allowed": "on"})


def _skip_same_address(run_id: int) -> Update:
    """Ranked in one pass and then found by key."""
    queued = (messages.c.run_id == run_id) & (messages.c.state == State.QUEUED)
    place = func.row_number().over(partition_by=messages.c.address, order_by=messages.c.customer_id).label("place")
    ranked = select(messages.c.customer_id, place).where(queued).subquery("ranked")
    later = select(ranked.c.customer_id).where(ranked.c.place > 1).subquery("later")
    return (
        update(messages)
        .where(messages.c.customer_id == later.c.customer_id, messages.c.run_id == run_id, messages.c.step == 0)
        .values(state=State.SKIPPED, reason=DUPLICATE, batch=None, variant=None, not_before=None)
    )


_LOOPS = text("SELECT set_config('enable_nestloop', :allowed, true)")

# Those who share a household or an address with others, each with a place in the row. A home is a household's id, or
# the customer's own, turned negative.
_RIVALS = text("""
    CREATE TEMPORARY TABLE rivals ON COMMIT DROP AS
    SELECT customer_id, home, address, place, CAST(NULL AS text) AS fate
    FROM (
        SELECT m.customer_id, coalesce(c.household_id, -c.id) AS home, m.address,
               count(*) OVER (PARTITION BY coalesce(c.household_id, -c.id)) AS at_home,
               count(*) OVER (PARTITION BY m.address) AS at_address,
               row_number() OVER (ORDER BY a.engagement_score DESC NULLS LAST,
                                  greatest(a.last_opened_at, a.last_clicked_at) DESC NULLS LAST, m.customer_id) AS place
        FROM messages m JOIN customers c ON c.id = m.customer_id LEFT JOIN activity a ON a.customer_id = m.customer_id
        WHERE m.run_id = :run AND m.state = 'queued'
    ) standing
    WHERE at_home > 1 OR at_address > 1
""")

_CHOOSE = text("""
    UPDATE rivals r SET fate = 'chosen'
    FROM (
        SELECT customer_id, place, min(place) OVER (PARTITION BY home) AS first_at_home,
               min(place) OVER (PARTITION BY address) AS first_at_address
        FROM rivals WHERE fate IS NULL
    ) s
    WHERE s.customer_id = r.customer_id AND s.place = s.first_at_home AND s.place = s.first_at_address
""")

_LOSE = text("""
    UPDATE rivals r SET fate = 'lost'
    FROM (
        SELECT o.customer_id FROM rivals o
        WHERE o.fate IS NULL AND (o.home IN (SELECT home FROM rivals WHERE fate = 'chosen')
                                  OR o.address IN (SELECT address FROM rivals WHERE fate = 'chosen'))
    ) l
    WHERE l.customer_id = r.customer_id
""")

_SKIP_LOSERS = text("""
    UPDATE messages m SET state = 'skipped', batch = NULL, variant = NULL, not_before = NULL,
        reason = CASE WHEN r.home IN (SELECT home FROM rivals WHERE fate = 'chosen')
                 THEN 'same_household' ELSE 'duplicate_address' END
    FROM rivals r WHERE r.fate = 'lost' AND m.customer_id = r.customer_id AND m.run_id = :run AND m.step = 0
""")

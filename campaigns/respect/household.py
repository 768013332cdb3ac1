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
from typing import Any

from sqlalchemy import Select, Update, column, func, insert, select, table, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.models import messages
from tracking.states import State

DUPLICATE = "duplicate_address"


async def skip_duplicates(conn: AsyncConnection, run_id: int, *, one_per_household: bool) -> None:
    """Skip those of a run just frozen whose message would be one too many."""
    if one_per_household:
        await _stand_in_row(conn, _QUEUED, {"run": run_id})
    async with _without_loops(conn):
        if one_per_household:
            await _work_off_rivals(conn)
            await conn.execute(_SKIP_LOSERS, {"run": run_id})
            await conn.execute(text("DROP TABLE rivals"))
        else:
            await conn.execute(_skip_same_address(run_id))


async def would_skip(conn: AsyncConnection, reached: Select[Any]) -> dict[str, int]:
    """How many of `reached` (`SELECT customer_id, address`) a freeze would skip so that a household gets one message,
    by reason. Leaves nothing behind."""
    await conn.execute(text("CREATE TEMPORARY TABLE reached (customer_id bigint, address text) ON COMMIT DROP"))
    await conn.execute(insert(table("reached", column("customer_id"), column("address"))).from_select(_BOTH, reached))
    await conn.execute(text("ANALYZE reached"))
    await _stand_in_row(conn, "reached", {})
    await _work_off_rivals(conn)
    found = {row.reason: row.n for row in await conn.execute(_COUNT_LOSERS)}
    await conn.execute(text("DROP TABLE reached, rivals"))
    return found


async def _stand_in_row(conn: AsyncConnection, standing: str, values: dict[str, int]) -> None:
    """Make the table `rivals` of those in `standing`."""
    await conn.execute(text(_RIVALS.format(standing=standing)), values)
    await conn.execute(text("ANALYZE rivals"))


async def _work_off_rivals(conn: AsyncConnection) -> None:
    """Tell each one's fate."""
    while (await conn.execute(_CHOOSE)).rowcount:
        await conn.execute(_LOSE)


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
_RIVALS = """
    CREATE TEMPORARY TABLE rivals ON COMMIT DROP AS
    SELECT customer_id, home, address, place, CAST(NULL AS text) AS fate
    FROM (
        SELECT m.customer_id, coalesce(c.household_id, -c.id) AS home, m.address,
               count(*) OVER (PARTITION BY coalesce(c.household_id, -c.id)) AS at_home,
               count(*) OVER (PARTITION BY m.address) AS at_address,
               row_number() OVER (ORDER BY a.engaged_until DESC NULLS LAST,
                                  greatest(a.last_opened_at, a.last_clicked_at) DESC NULLS LAST, m.customer_id) AS place
        FROM {standing} m JOIN customers c ON c.id = m.customer_id LEFT JOIN activity a ON a.customer_id = m.customer_id
    ) standing
    WHERE at_home > 1 OR at_address > 1
"""
_QUEUED = "(SELECT customer_id, address FROM messages WHERE run_id = :run AND state = 'queued')"
_BOTH = ["customer_id", "address"]

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

_WHY = """CASE WHEN r.home IN (SELECT home FROM rivals WHERE fate = 'chosen')
    THEN 'same_household' ELSE 'duplicate_address' END"""

_SKIP_LOSERS = text(f"""
    UPDATE messages m SET state = 'skipped', batch = NULL, variant = NULL, not_before = NULL, reason = {_WHY}
    FROM rivals r WHERE r.fate = 'lost' AND m.customer_id = r.customer_id AND m.run_id = :run AND m.step = 0
""")  # noqa: S608 -- our own words

_COUNT_LOSERS = text(f"SELECT {_WHY} AS reason, count(*) AS n FROM rivals r WHERE r.fate = 'lost' GROUP BY 1")  # noqa: S608

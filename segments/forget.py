"""How long the feed and the log are kept, and what becomes of a segment that was deleted."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import NEWS
from segments.models import segment_changes, segment_members, segment_sizes, segment_states, segments
from segments.standing import exclude_others

FEED_KEPT = timedelta(days=90)
LOG_KEPT = timedelta(days=3)
"""How long a change stays in the log though some segment did not look yet; that one then begins anew."""
UNDER_WAY = timedelta(hours=1)
"""How long a change stays at least: an evaluation that is under way may not have seen it, and nothing tells of that
until it commits where it is the first one of its segment, or the first one of a changed rule."""


async def purge(conn: AsyncConnection, now: datetime) -> None:
    """Drop entries of the feed that are older than 90 days, and changes that every segment has seen, at the latest
    after three days: a segment that slept as long looks at everyone when it wakes."""
    await conn.execute(_PURGE_FEED, {"until": now - FEED_KEPT})
    await conn.execute(_BEGIN_ANEW, {"until": now - LOG_KEPT})
    await conn.execute(_PURGE_LOG, {"until": now - LOG_KEPT, "seen": now - UNDER_WAY})


async def forget(conn: AsyncConnection, segment_id: int) -> None:
    """Drop all that is kept of a segment that is gone; nothing happens to one that is there."""
    await exclude_others(conn, segment_id)
    if await conn.scalar(select(func.count()).select_from(segments).where(segments.c.id == segment_id)):
        return
    for table in (segment_members, segment_changes, segment_sizes, segment_states):
        await conn.execute(delete(table).where(table.c.segment_id == segment_id))


_PURGE_FEED = text("""
    WITH gone AS (
        DELETE FROM segment_changes WHERE at < :until RETURNING segment_id, evaluation
    ), last AS (
        SELECT segment_id, max(evaluation) AS evaluation FROM gone GROUP BY segment_id
    )
    UPDATE segment_states s SET feed_from = last.evaluation + 1 FROM last WHERE s.segment_id = last.segment_id
""")

_BEGIN_ANEW = text("UPDATE segment_states SET snapshot = NULL WHERE evaluated_at < :until AND snapshot IS NOT NULL")
_PURGE_LOG = text(f"""
    DELETE FROM changed_customers c WHERE c.noted_at < :until OR c.noted_at < :seen AND NOT EXISTS (
        SELECT FROM segment_states s JOIN segments g ON g.id = s.segment_id
        WHERE s.snapshot IS NOT NULL AND {NEWS.format(snapshot="s.snapshot", sources="s.sources")}
    )
""")  # noqa: S608 -- put together from our own words

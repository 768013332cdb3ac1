"""The place of a run's batches in the queue: higher ranks first, and runs of one rank take turns.

A run that comes later gets its turns from the present one on: it neither waits until those before it are through, nor
overtakes what they have left.
"""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import runs
from campaigns.ranks import TURNS, Rank, turn_of


async def rank_of(conn: AsyncConnection, run_id: int) -> Rank:
    return Rank(await conn.scalar(select(runs.c.rank).where(runs.c.id == run_id)) or 0)


async def present_turn(conn: AsyncConnection, task: str, rank: Rank) -> int:
    """The turn of the batch of this rank that is due to go next; 0 where none waits."""
    top = await conn.scalar(_NEXT, {"task": task, "low": (rank - 1) * TURNS, "high": rank * TURNS - 1})
    return 0 if top is None else turn_of(top, rank)


_NEXT = text("""
    SELECT priority FROM procrastinate_jobs
    WHERE status = 'todo' AND task_name = :task AND priority BETWEEN :low AND :high
      AND (scheduled_at IS NULL OR scheduled_at <= now())
    ORDER BY priority DESC LIMIT 1
""")

"""What is kept of a segment's evaluations: its state, from which the next one goes on, and a size a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from segments.models import segment_sizes, segment_states, segments


@dataclass(frozen=True)
class State:
    """A segment as of its last evaluation, number `evaluation` (1: the first). `error`: why the latest try failed.

    `fingerprint`: what the rule meant; `sources`, `moves`: what its answer hangs on (segments/crossing.py);
    `snapshot`: the transactions that it saw, None: it slept so long that the log is gone. `feed_from`: the first
    evaluation whose entries are still in the feed.
    """

    segment_id: int
    evaluation: int
    evaluated_at: datetime
    size: int
    fingerprint: str
    sources: tuple[str, ...]
    moves: str | None
    snapshot: str | None
    milliseconds: int
    feed_from: int
    error: str | None
    tried_at: datetime


async def state_of(conn: AsyncConnection, segment_id: int, *, hold: bool = False) -> State | None:
    """None before the first evaluation. `hold`: nobody changes it until this transaction ends."""
    state = segment_states.c
    found = select(segment_states).where(state.segment_id == segment_id, state.evaluated_at.is_not(None))
    row = (await conn.execute(found.with_for_update() if hold else found)).mappings().one_or_none()
    return None if row is None else State(**{**row, "sources": tuple(row["sources"])})


async def failure_of(conn: AsyncConnection, segment_id: int) -> str | None:
    """Why the latest try to evaluate the segment came to nothing; None: it did not."""
    error: str | None = await conn.scalar(
        select(segment_states.c.error).where(segment_states.c.segment_id == segment_id)
    )
    return error


async def keep_state(conn: AsyncConnection, state: Mapping[str, Any], rule: Any) -> None:
    """Let `state` (columns of segment_states) stand; the segment's own count too, unless its rule is another by now."""
    row = insert(segment_states).values(**state, error=None)
    kept = row.on_conflict_do_update(index_elements=["segment_id"], set_={**state, "error": None})
    await conn.execute(kept)
    unchanged = (segments.c.id == state["segment_id"], segments.c.rule == rule)
    counted = {"count": state["size"], "counted_at": state["evaluated_at"]}
    await conn.execute(update(segments).where(*unchanged).values(**counted))


async def keep_size(
    conn: AsyncConnection,
    segment_id: int,
    day: date,
    at: datetime,
    size: int,
    *,
    entered: int,
    left: int,
    by_rule: bool,
) -> None:
    """The day's size is that of its last evaluation; who entered and left in its course adds up."""
    row = insert(segment_sizes).values(
        segment_id=segment_id, day=day, at=at, size=size, entered=entered, left=left, by_rule=by_rule
    )
    before, now = segment_sizes.c, row.excluded
    later = {
        "at": now.at,
        "size": now.size,
        "entered": before.entered + now.entered,
        "left": before.left + now.left,
        "by_rule": before.by_rule | now.by_rule,
    }
    await conn.execute(row.on_conflict_do_update(index_elements=["segment_id", "day"], set_=later))


async def note_failure(conn: AsyncConnection, segment_id: int, error: str, now: datetime) -> None:
    """Keep why a segment cannot be evaluated; what stood before goes on standing."""
    if await conn.scalar(select(segments.c.id).where(segments.c.id == segment_id)) is not None:
        failure = {"error": error, "tried_at": now}
        row = insert(segment_states).values(segment_id=segment_id, **failure)
        await conn.execute(row.on_conflict_do_update(index_elements=["segment_id"], set_=failure))

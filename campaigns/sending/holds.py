"""Recipient domains that asked for a pause, as all workers know them. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import held_domains
from runtime.errors import NotFound
from runtime.worker import STALLED_SECONDS


@dataclass(frozen=True)
class Hold:
    """Nothing goes to the (main) domain `name` before `until`. `level`: pauses in a row; `answer`: what it said."""

    name: str
    level: int
    until: datetime
    answer: str
    answered_at: datetime


async def holds_now(conn: AsyncConnection) -> list[Hold]:
    """All that have not taken a message since, whether their time is over or not."""
    rows = await conn.execute(select(held_domains).order_by(held_domains.c.name))
    return [Hold(row.name, row.level, row.held_until, row.answer, row.answered_at) for row in rows]


async def write_holds(conn: AsyncConnection, news: Mapping[str, Hold | None]) -> None:
    """What a worker found out; None: the domain takes messages again. The longer of two pauses stands."""
    free = [name for name, hold in news.items() if hold is None]
    if free:
        await conn.execute(delete(held_domains).where(held_domains.c.name.in_(free)))
    held = [_row(hold) for _, hold in sorted(news.items()) if hold is not None]
    if held:
        row = insert(held_domains)
        given = {name: row.excluded[name] for name in ("level", "held_until", "answer", "answered_at")}
        longer = held_domains.c.held_until < row.excluded.held_until
        await conn.execute(row.on_conflict_do_update(index_elements=["name"], set_=given, where=longer), held)


async def forget_hold(conn: AsyncConnection, name: str) -> None:
    """Whoever looks sees no hold of the domain any more. Raises NotFound."""
    gone = await conn.execute(delete(held_domains).where(held_domains.c.name == name))
    if not gone.rowcount:
        raise NotFound(f"{name!r} is not held back")


async def live_workers(conn: AsyncConnection) -> int:
    """Processes that run jobs now."""
    recent = text(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :silent)"
    )
    return int(await conn.scalar(recent, {"silent": STALLED_SECONDS}) or 0)


def _row(hold: Hold) -> dict[str, object]:
    return {
        "name": hold.name,
        "level": hold.level,
        "held_until": hold.until,
        "answer": hold.answer,
        "answered_at": hold.answered_at,
    }

"""Who uses a segment or an audience. Rooms above register their question; what is in use is not deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import Boolean, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection

from segments.models import segments

Users = Callable[[AsyncConnection, int], Awaitable[list[str]]]
"""`await users(conn, segment_id)`: what uses the segment, in words (`campaign 7 (Spring)`)."""

_users: dict[str, Users] = {}


def register_segment_users(room: str, users: Users) -> None:
    """Let `users` be asked before a segment is deleted; the same room again replaces it."""
    _users[room] = users


async def segment_users(conn: AsyncConnection, segment_id: int) -> list[str]:
    """Everything that uses the segment, in words: other segments first."""
    path = cast(f"$.**.in_segment ? (@ == {int(segment_id)})", JSONPATH)
    refers = func.jsonb_path_exists(segments.c.rule, path, type_=Boolean)
    rows = await conn.execute(select(segments.c.id, segments.c.name).where(refers).order_by(segments.c.id))
    found = [f"segment {row.id} ({row.name})" for row in rows]
    for users in _users.values():
        found += await users(conn, segment_id)
    return found

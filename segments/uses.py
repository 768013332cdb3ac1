"""Who uses a segment or an audience. Rooms above register their question; what is in use is not deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Boolean, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection

from segments.models import segments

Users = Callable[[AsyncConnection, int], Awaitable[list[str]]]
"""`await users(conn, segment_id)`: what uses the segment, in words (`campaign 7 (Spring)`)."""


@dataclass(frozen=True)
class Use:
    """Something that uses a list: `kind` is segment or campaign. As text: `campaign 7 (Spring)`."""

    kind: str
    id: int
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} ({self.name})"


AudienceUsers = Callable[[AsyncConnection, int], Awaitable[list[Use]]]
"""`await users(conn, audience_id)`: what uses the list."""

_users: dict[str, Users] = {}
_audience_users: dict[str, AudienceUsers] = {}


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


def register_audience_users(room: str, users: AudienceUsers) -> None:
    """Let `users` be asked before a list is deleted; the same room again replaces it."""
    _audience_users[room] = users


async def audience_users(conn: AsyncConnection, audience_id: int) -> list[Use]:
    """Everything that uses the list: segments first."""
    path = cast(f"$.**.in_audience ? (@ == {int(audience_id)})", JSONPATH)
    refers = func.jsonb_path_exists(segments.c.rule, path, type_=Boolean)
    rows = await conn.execute(select(segments.c.id, segments.c.name).where(refers).order_by(segments.c.id))
    found = [Use("segment", row.id, row.name) for row in rows]
    for users in _audience_users.values():
        found += await users(conn, audience_id)
    return found

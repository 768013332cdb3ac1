"""Tries that are counted in the database, by account and by address, so that every web process sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import HearthError
from web.i18n import _
from web.models import attempts

KEPT = timedelta(days=2)  # longer than what was signed for once is believed (pages/hooks.py)


class TooManyTries(HearthError):
    """The limit is reached; waiting helps, a success elsewhere does not."""


@dataclass(frozen=True)
class Limit:
    """At most `tries` that count within `within`."""

    kind: str
    tries: int
    within: timedelta


LOGIN_ACCOUNT = Limit("login_account", 10, timedelta(minutes=15))
LOGIN_IP = Limit("login_ip", 100, timedelta(minutes=15))
RESET_IP = Limit("reset_ip", 10, timedelta(hours=1))


async def record_tries(conn: AsyncConnection, tries: Sequence[tuple[Limit, str]], now: datetime) -> list[int]:
    """Write the tries down and return their ids. Commit before the secret is checked: parallel guesses then see each
    other.
    """
    rows = [{"kind": limit.kind, "subject": subject[:300], "at": now} for limit, subject in tries]
    await forget_tries(conn, now)
    made = await conn.execute(insert(attempts).returning(attempts.c.id), rows)
    return list(made.scalars())


async def forget_tries(conn: AsyncConnection, now: datetime) -> None:
    """Those that nobody asks for any more."""
    await conn.execute(delete(attempts).where(attempts.c.at < now - KEPT))


async def check_tries(conn: AsyncConnection, tries: Sequence[tuple[Limit, str]], now: datetime) -> None:
    """Raises TooManyTries when one of the limits is passed (this try counted in)."""
    for limit, subject in tries:
        if await _passed(conn, limit, subject, now):
            minutes = int(limit.within.total_seconds() // 60)
            raise TooManyTries(_("Too many tries. Wait %(minutes)s minutes and try again.", minutes=minutes))


async def _passed(conn: AsyncConnection, limit: Limit, subject: str, now: datetime) -> bool:
    """Whoever hammers has very many of them: no more are looked at than decide."""
    row = attempts.c
    same = (row.kind == limit.kind, row.subject == subject[:300], row.counts, row.at > now - limit.within)
    beyond = select(row.id).where(*same).order_by(row.at.desc()).offset(limit.tries).limit(1)
    return (await conn.execute(beyond)).first() is not None


async def forgive(conn: AsyncConnection, ids: Sequence[int]) -> None:
    """These tries were right, so they do not count; earlier wrong ones still do."""
    await conn.execute(update(attempts).where(attempts.c.id.in_(ids)).values(counts=False))

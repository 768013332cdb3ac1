"""One leader: a lease row with a term number, by the database's clock.

Whoever holds the lease renews it; when it runs out, the next one takes it with a higher term. Each of the leader's
write transactions begins with `check_term`, so a leader that was frozen and thaws finds its term over and is refused.
While such a transaction is open nobody can take the lease, and the database breaks it off when the leader falls silent.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Conflict

LEASE_SECONDS = 5.0
_SILENT_SECONDS = 5

_RENEW = text(
    """
    UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
    WHERE name = :name AND holder = :holder RETURNING term
    """
)
_FIRST = text(
    """
    INSERT INTO leases (name, holder, term, expires_at)
    VALUES (:name, :holder, 1, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO NOTHING RETURNING term
    """
)
_TAKE = text(
    """
    WITH free AS (SELECT name FROM leases WHERE name = :name AND expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED)
    UPDATE leases
    SET holder = :holder, term = term + 1, expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM free WHERE leases.name = free.name RETURNING term
    """
)
_CHECK = text("SELECT term FROM leases WHERE name = :name FOR KEY SHARE")


class NotLeader(Conflict):
    """Another process leads now: this one's term is over."""


@dataclass(frozen=True)
class Term:
    """One stretch of leading: its number grows with every change of hands."""

    lease: str
    number: int


def new_holder() -> str:
    """A name for this process that no other process ever has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


async def acquire(conn: AsyncConnection, name: str, holder: str, seconds: float = LEASE_SECONDS) -> Term | None:
    """Renew the lease if `holder` has it, take it if it is free, else None. Never waits for anybody."""
    values = {"name": name, "holder": holder, "seconds": seconds}
    for statement in (_RENEW, _FIRST, _TAKE):
        term = await conn.scalar(statement, values)
        if term is not None:
            return Term(name, term)
    return None


async def release(conn: AsyncConnection, name: str, holder: str) -> None:
    """Give the lease up at once, for a successor that need not wait."""
    statement = text("UPDATE leases SET expires_at = '-infinity' WHERE name = :name AND holder = :holder")
    await conn.execute(statement, {"name": name, "holder": holder})


async def check_term(conn: AsyncConnection, term: Term) -> None:
    """First in each write transaction of the leader: raises NotLeader if the term is over; else it lasts to the end."""
    await conn.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENT_SECONDS}s'"))
    number = await conn.scalar(_CHECK, {"name": term.lease})
    if number != term.number:
        raise NotLeader(f"term {term.number} of {term.lease} is over: another process leads")


async def database_now(conn: AsyncConnection) -> datetime:
    """The present by the database's clock, the same for every process."""
    now = await conn.scalar(text("SELECT clock_timestamp()"))
    assert isinstance(now, datetime)
    return now

"""What came of a follow-up: one tap, a note, and for a while the way back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from customers.timeline import entry, newest
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.text import printable
from sales.bell import ring
from sales.models import follow_ups

OUTCOMES = ("called", "visited", "wechat", "not_interested", "ordered")
UNDONE_WITHIN = timedelta(minutes=15)
LONGEST_NOTE = 1_000


@dataclass(frozen=True)
class Outcome:
    """`by`: who says so."""

    outcome: str
    by: str
    note: str = ""


async def record_outcome(
    conn: AsyncConnection, follow_up_id: int, said: Outcome, now: datetime, *, salesperson: str | None = None
) -> Row[Any]:
    """Close a follow-up; said again, its outcome and note are replaced while it could be undone.

    `salesperson`: of their households only. Raises Invalid, NotFound, Conflict for one that was closed before.
    """
    note = printable(said.note).strip()
    problems = []
    if said.outcome not in OUTCOMES:
        problems.append(Problem("outcome", f"must be one of {', '.join(OUTCOMES)}"))
    if len(note) > LONGEST_NOTE:
        problems.append(Problem("note", f"must have at most {LONGEST_NOTE:,} characters"))
    if problems:
        raise Invalid(problems)
    found = await follow_up(conn, follow_up_id, salesperson=salesperson)
    if found.state != "open" and not _fresh(found, now):
        raise Conflict(f"follow-up {follow_up_id} was closed before")
    values = {"state": "done", "outcome": said.outcome, "closed_by": said.by, "note": note or found.note}
    times = {"given_at": found.given_at or now, "due_at": found.due_at or now, "closed_at": found.closed_at or now}
    await _write(conn, found, **values, **times)
    return await follow_up(conn, follow_up_id, salesperson=salesperson)


async def undo(conn: AsyncConnection, follow_up_id: int, now: datetime, *, salesperson: str | None = None) -> Row[Any]:
    """Open a follow-up again that was closed a moment ago; its note stays. Raises NotFound, Conflict."""
    found = await follow_up(conn, follow_up_id, salesperson=salesperson)
    if found.state == "open":
        return found
    twin = select(follow_ups.c.id).where(
        follow_ups.c.customer_id == found.customer_id, follow_ups.c.rule == found.rule, follow_ups.c.state == "open"
    )
    if not _fresh(found, now) or await conn.scalar(twin) is not None:
        raise Conflict(f"follow-up {follow_up_id} was closed too long ago to be opened again")
    await _write(conn, found, state="open", outcome=None, closed_at=None, closed_by=None)
    return await follow_up(conn, follow_up_id, salesperson=salesperson)


async def follow_up(conn: AsyncConnection, follow_up_id: int, *, salesperson: str | None = None) -> Row[Any]:
    """One follow-up as stored, with the customer's `name`. Raises NotFound, also for another's household."""
    joined = follow_ups.join(customers, customers.c.id == follow_ups.c.customer_id)
    asked = select(follow_ups, customers.c.name, customers.c.external_id).select_from(joined)
    asked = asked.where(follow_ups.c.id == follow_up_id)
    if salesperson is not None:
        asked = asked.where(customers.c.salesperson == salesperson)
    found = (await conn.execute(asked)).one_or_none()
    if found is None:
        raise NotFound(f"there is no follow-up {follow_up_id}")
    return found


def timeline_entries(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    """Follow-ups that ended, for customers.timeline."""
    row = follow_ups.c
    data = func.jsonb_build_object(
        *("id", row.id, "rule", row.rule, "outcome", row.outcome, "note", row.note, "by", row.closed_by),
        *("salesperson", row.salesperson, "opened_at", row.opened_at),
    )
    mine = entry(row.closed_at, "follow_up", data).where(row.customer_id == customer_id, row.closed_at <= before)
    return newest(mine.where(row.state == "done"), row.closed_at, limit)


def _fresh(found: Row[Any], now: datetime) -> bool:
    return bool(found.state == "done" and now - found.closed_at <= UNDONE_WITHIN)


async def _write(conn: AsyncConnection, found: Row[Any], **values: Any) -> None:
    row = follow_ups.c
    await conn.execute(
        update(follow_ups).where(row.customer_id == found.customer_id, row.id == found.id).values(**values)
    )
    await ring(conn)

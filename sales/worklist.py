"""Follow-ups as people look at them: a salesperson's day, and a manager's list.

Rank: value × urgency; urgency is 24 over the hours that are left, and 24 once less than one is left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Float, Row, Select, cast, extract, func, literal, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import contact_addresses, customers, salespeople
from runtime.text import fold
from sales.models import follow_ups
from sales.opening import day_begins
from sales.outcomes import UNDONE_WITHIN

EVERYBODY = "*"
"""In the place of a salesperson's code."""

STATES = ("open", "late", "waiting", "done", "expired")


@dataclass(frozen=True)
class Day:
    """What a salesperson has to do now, the best first; `waiting` come when there is room; `closed`: the last one that
    can still be undone."""

    tasks: Sequence[Row[Any]]
    waiting: int
    done: int
    closed: Row[Any] | None


@dataclass(frozen=True)
class Asked:
    """Which follow-ups a list shows; `own`: the code of the salesperson who looks."""

    state: str = ""
    rule: str = ""
    salesperson: str = ""
    dealer: str = ""
    q: str = ""
    own: str | None = None


async def day_of(conn: AsyncConnection, salesperson: str, now: datetime, zone: ZoneInfo) -> Day:
    """The day of the salesperson with this code."""
    row = follow_ups.c
    mine = (row.salesperson == salesperson, customers.c.salesperson == salesperson)
    listed = listing(Asked(own=salesperson)).where(row.state == "open", row.given_at.is_not(None))
    tasks = (await conn.execute(listed.order_by(rank(now).desc(), row.id).limit(200))).all()
    waiting = select(func.count()).where(row.salesperson == salesperson, row.state == "open", row.given_at.is_(None))
    done = select(func.count()).where(
        row.salesperson == salesperson, row.state == "done", row.closed_at >= day_begins(now, zone)
    )
    last = listing(Asked(own=salesperson)).where(*mine, row.state == "done", row.closed_at > now - UNDONE_WITHIN)
    closed = (await conn.execute(last.order_by(row.closed_at.desc(), row.id).limit(1))).one_or_none()
    return Day(tasks, await conn.scalar(waiting) or 0, await conn.scalar(done) or 0, closed)


async def version_of(conn: AsyncConnection, salesperson: str) -> str:
    """Another one whenever what this salesperson (EVERYBODY: anybody) has to do is another."""
    return (await versions_of(conn, [salesperson]))[salesperson]


async def versions_of(conn: AsyncConnection, salespeople_codes: Collection[str]) -> dict[str, str]:
    """As version_of, for many at once."""
    rows = await conn.execute(_VERSIONS, {"codes": list(salespeople_codes), "everybody": EVERYBODY})
    return {code: f"{count}.{newest}.{given}.{late}" for code, count, newest, given, late in rows}


def listing(asked: Asked) -> Select[Any]:
    """Rows of follow_ups with `name`, `external_id`, `phone`, `wechat` and `city` of the customer, and `looked_after`,
    the salesperson's name."""
    row, person, seller = follow_ups.c, customers.c, salespeople.c
    wechat = select(contact_addresses.c.value).where(
        contact_addresses.c.customer_id == row.customer_id, contact_addresses.c.kind.in_(("wechat", "wecom"))
    )
    columns = [person.name, person.external_id, person.phone, person.city, seller.name.label("looked_after")]
    joined = follow_ups.join(customers, person.id == row.customer_id)
    joined = joined.outerjoin(salespeople, seller.code == row.salesperson)
    found = select(follow_ups, *columns, wechat.limit(1).scalar_subquery().label("wechat")).select_from(joined)
    return found.where(*_conditions(asked))


def rank(now: datetime) -> ColumnElement[float]:
    """By what follow-ups are ordered: value × urgency."""
    row = follow_ups.c
    left = func.coalesce(extract("epoch", row.due_at - now) / 3600, cast(row.due_hours, Float))
    urgency = literal(24.0) / func.greatest(left, 1.0)
    return cast(row.value, Float) * cast(urgency, Float)


def _conditions(asked: Asked) -> list[ColumnElement[bool]]:
    row, person = follow_ups.c, customers.c
    found: list[ColumnElement[bool]] = []
    if asked.state in ("open", "late", "waiting"):
        found.append(row.state == "open")
        if asked.state == "late":
            found.append(row.escalated_at.is_not(None))
        if asked.state == "waiting":
            found.append(row.given_at.is_(None))
    elif asked.state:
        found.append(row.state == asked.state)
    if asked.rule:
        found.append(row.rule == asked.rule)
    if asked.salesperson:
        found.append(row.salesperson == asked.salesperson)
    if asked.dealer:
        found.append(salespeople.c.dealer == asked.dealer)
    if asked.q:
        words = fold(asked.q)
        found.append(or_(person.name_folded.contains(words, autoescape=True), person.external_id == asked.q))
    if asked.own is not None:
        found.append(person.salesperson == asked.own)
    return found


_VERSIONS = text("""
    SELECT wanted.code, count(f.id), coalesce(max(f.id), 0),
        CAST(coalesce(extract(epoch FROM max(f.given_at)), 0) * 1000000 AS bigint), count(f.escalated_at)
    FROM unnest(CAST(:codes AS text[])) AS wanted(code)
    LEFT JOIN follow_ups f ON f.state = 'open' AND (f.salesperson = wanted.code OR wanted.code = :everybody)
    GROUP BY 1
""")

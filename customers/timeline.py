"""The timeline of a customer: rooms contribute a statement each, the newest entries of all come first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Select, Text, cast, func, literal, null, select, union_all
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem

Builder = Callable[[int, datetime, int], Select[Any]]
"""(customer, before, limit) → the `newest` entries of that customer with `at` ≤ before, as `entry` makes them."""

_END = datetime(9999, 12, 31, tzinfo=UTC)
_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z~(\d{1,6})")
_contributions: dict[str, Builder] = {}


@dataclass(frozen=True)
class Entry:
    """Something that happened: `kind` says what, `data` the particulars."""

    at: datetime
    kind: str
    channel: str | None
    campaign: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Timeline:
    """One page; `next` is the cursor of the page after it, None on the last."""

    items: Sequence[Entry]
    next: str | None


def contribute(name: str, builder: Builder) -> None:
    """Let `builder` take part in every timeline; the same name again replaces it (install may run twice)."""
    _contributions[name] = builder


def entry(
    at: ColumnElement[Any],
    kind: ColumnElement[Any] | str,
    data: ColumnElement[Any],
    *,
    channel: ColumnElement[Any] | None = None,
    campaign: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """The columns of an entry, typed alike in every contribution; the caller adds FROM, WHERE, ORDER BY and LIMIT."""
    return select(
        cast(at, DateTime(timezone=True)).label("at"),
        cast(literal(kind) if isinstance(kind, str) else kind, Text).label("kind"),
        cast(null() if channel is None else channel, Text).label("channel"),
        cast(null() if campaign is None else campaign, Text).label("campaign"),
        cast(data, JSONB).label("data"),
    )


def newest(entries: Select[Any], at: ColumnElement[Any], limit: int) -> Select[Any]:
    """The newest `limit` of them; all of those that share the time of the last, so that pages agree on their order."""
    return entries.order_by(at.desc()).fetch(limit, with_ties=True)


async def timeline(conn: AsyncConnection, customer_id: int, *, cursor: str | None = None, limit: int = 50) -> Timeline:
    """A page of what happened to a customer and what they did. Raises Invalid for a cursor not made here."""
    if not _contributions:
        return Timeline([], None)
    before, seen = _read(cursor)
    parts = [builder(customer_id, before, seen + limit + 1).subquery() for builder in _contributions.values()]
    joined = union_all(*(select(part) for part in parts)).subquery()
    order = (joined.c.at.desc(), joined.c.kind, func.md5(cast(joined.c.data, Text)))
    rows = (await conn.execute(select(joined).order_by(*order).offset(seen).limit(limit + 1))).all()
    items = [Entry(*row) for row in rows[:limit]]
    return Timeline(items, _cursor(items, before, seen) if len(rows) > limit else None)


def _cursor(items: Sequence[Entry], before: datetime, seen: int) -> str:
    """The time of the last entry, and how many of that very time were shown."""
    last = items[-1].at
    same = sum(item.at == last for item in items) + (seen if last == before else 0)
    return f"{last.astimezone(UTC).replace(tzinfo=None).isoformat()}Z~{same}"


def _read(cursor: str | None) -> tuple[datetime, int]:
    if cursor is None:
        return _END, 0
    found = _CURSOR.fullmatch(cursor)
    try:
        if found is not None:
            return datetime.fromisoformat(found[1]).replace(tzinfo=UTC), int(found[2])
    except ValueError:
        pass
    raise Invalid(Problem("cursor", "is not one that a timeline gave out; start again without it"))

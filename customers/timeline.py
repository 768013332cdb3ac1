"""The timeline of a customer: rooms contribute a statement each, the newest entries of all come first.

A room that wants to be in it writes one function, and enters it when it installs itself:

    def _calls(customer_id: int, before: datetime, limit: int) -> Select[Any]:
        row = calls.c
        told = entry(row.at, "call", func.jsonb_build_object("by", row.by, "note", row.note))
        return newest(told.where(row.customer_id == customer_id, row.at <= before), row.at, limit)

    contribute("calls", _calls, kinds={"call"})

An index on (customer_id, at) makes it quick. In the console a kind has its icon and group (web/timeline_words.py) and a
sentence (web/templates/customers/entry.html); without these it is shown by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Invalid, Problem

Builder = Callable[[int, datetime, int], Select[Any]]
"""(customer, before, limit) → the `newest` entries of that customer with `at` ≤ before, as `entry` makes them."""


@dataclass(frozen=True)
class Contribution:
    """What a room tells of a customer; `kinds`: all that its entries can be, none where that is not known."""

    builder: Builder
    kinds: frozenset[str]


_END = datetime(9999, 12, 31, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z~(\d{1,6})")
_ALL = 2**31 - 1  # a limit that no history reaches
_contributions: dict[str, Contribution] = {}


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


@dataclass(frozen=True)
class Looked:
    """What of a timeline is looked at: entries of these kinds (none: all), of this channel, that say `q` somewhere in
    what they tell, from `since` up to before `until`."""

    kinds: frozenset[str] = frozenset()
    channel: str | None = None
    q: str = ""
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Looked()


def contribute(name: str, builder: Builder, kinds: Collection[str] = ()) -> None:
    """Let `builder` take part in every timeline; the same name again replaces it (install may run twice). With `kinds`
    it is spared where somebody looks at others."""
    _contributions[name] = Contribution(builder, frozenset(kinds))


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


async def timeline(
    conn: AsyncConnection,
    customer_id: int,
    looked: Looked = EVERYTHING,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Timeline:
    """A page of what happened to a customer and what they did. Raises Invalid for a cursor not made here."""
    before, seen = _read(cursor)
    top = before if looked.until is None else min(before, looked.until - _INSTANT)
    parts = [
        _part(each, customer_id, top, seen + limit + 1, looked)
        for each in _contributions.values()
        if not looked.kinds or not each.kinds or looked.kinds & each.kinds
    ]
    if not parts:
        return Timeline([], None)
    joined = union_all(*parts).subquery()
    order = (joined.c.at.desc(), joined.c.kind, func.md5(cast(joined.c.data, Text)))
    rows = (await conn.execute(select(joined).order_by(*order).offset(seen).limit(limit + 1))).all()
    items = [Entry(*row) for row in rows[:limit]]
    return Timeline(items, _cursor(items, before, seen) if len(rows) > limit else None)


def _part(each: Contribution, customer_id: int, before: datetime, limit: int, looked: Looked) -> Select[Any]:
    """The newest of a contribution that are looked at. Its index finds the newest of all; where some of them are passed
    over, the whole of this one customer's is read."""
    whole = bool(looked.kinds) and not (each.kinds and each.kinds <= looked.kinds)
    some = whole or looked.channel is not None or bool(looked.q)
    part = each.builder(customer_id, before, _ALL if some else limit).subquery()
    found = select(part)
    if whole:
        found = found.where(part.c.kind.in_(looked.kinds))
    if looked.channel is not None:
        found = found.where(part.c.channel == looked.channel)
    if looked.since is not None:
        found = found.where(part.c.at >= looked.since)
    if looked.q:
        found = found.where(_says(part, looked.q))
    return found


def _says(part: FromClause, q: str) -> ColumnElement[bool]:
    """Whether the words stand in the campaign's name or in a value of what is told. The text of the whole, names of
    its parts included, is looked at first: it decides about nearly all of them, quickly."""
    pattern = "%" + q.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    quoted = "%" + json.dumps(q.lower(), ensure_ascii=False)[1:-1].replace("\\", r"\\").replace("%", r"\%") + "%"
    value = (
        func.jsonb_path_query(part.c.data, text("'strict $.**'"), type_=JSONB).table_valued("value").render_derived()
    )
    said = func.lower(value.c.value.op("#>>")(text("'{}'"))).like(pattern)
    plain = func.jsonb_typeof(value.c.value).in_(["string", "number"])
    return or_(
        func.lower(part.c.campaign).like(pattern),
        and_(func.lower(cast(part.c.data, Text)).like(quoted), exists(select(literal(1)).where(plain, said))),
    )


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

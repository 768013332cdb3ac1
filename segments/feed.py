"""Who entered a segment and who left it, as a feed to subscribe to; and how its size went.

    start = await position(conn, segment_id)             # then read the members; what follows is in the feed
    page = await changes(conn, segment_id, start)        # later: page.items, and go on from page.position

A segment's evaluations are numbered and commit in the order of their numbers, and each tells all of its changes at
once: whoever goes on from the last position misses nothing and sees nothing twice. Entries are kept for 90 days; the
first evaluation tells nobody, it finds who belongs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import BigInteger, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from runtime.errors import Invalid, Problem
from segments.models import segment_changes, segment_sizes, segment_states
from segments.states import state_of
from segments.store import segment

_LAST = 2**63 - 1
_CURSOR = re.compile(r"(\d{1,18})\.(\d{1,19})", re.ASCII)


@dataclass(frozen=True)
class Position:
    """A place in a segment's feed: behind this customer's entry of this evaluation. As text it is a cursor."""

    evaluation: int
    customer_id: int

    def __str__(self) -> str:
        return f"{self.evaluation}.{self.customer_id}"


BEGINNING = Position(0, 0)


@dataclass(frozen=True)
class Change:
    """Somebody `entered` or else left. `by_rule`: since the rule was changed, not because of them."""

    customer_id: int
    external_id: str | None
    at: datetime
    entered: bool
    by_rule: bool


@dataclass(frozen=True)
class Changes:
    """Entries, oldest first; `position`: where to go on, now (`more`) or later."""

    items: Sequence[Change]
    position: Position
    more: bool


@dataclass(frozen=True)
class Size:
    """Of one day: the members at its last evaluation, and who entered and left in its course."""

    day: date
    at: datetime
    size: int
    entered: int
    left: int
    by_rule: bool


def read_position(cursor: str) -> Position:
    """Raises Invalid for a text that is no position."""
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found[2]) > _LAST:
        raise Invalid(Problem("cursor", "is not one that this feed gave out; start again without it"))
    return Position(int(found[1]), int(found[2]))


async def position(conn: AsyncConnection, segment_id: int) -> Position:
    """The end of the feed as it is now. Raises NotFound."""
    await segment(conn, segment_id)
    state = await state_of(conn, segment_id)
    return BEGINNING if state is None else Position(state.evaluation, _LAST)


async def changes(
    conn: AsyncConnection,
    segment_id: int,
    after: Position | None = None,
    *,
    limit: int = 100,
    salesperson: str | None = None,
) -> Changes:
    """A page of the feed behind `after` (None: from the oldest entry kept); a `salesperson`'s own customers alone.

    Raises NotFound, and Invalid where entries behind `after` are no longer kept: read the members anew.
    """
    end = await position(conn, segment_id)  # before the entries: what it counts is all there
    begin = after or BEGINNING
    if after is not None:
        await _check_kept(conn, segment_id, after)
    row = segment_changes.c
    behind = tuple_(row.evaluation, row.customer_id) > tuple_(
        literal(begin.evaluation, BigInteger), literal(begin.customer_id, BigInteger)
    )
    entries = (
        select(row.evaluation, row.customer_id, customers.c.external_id, row.at, row.entered, row.by_rule)
        .outerjoin(customers, customers.c.id == row.customer_id)
        .where(row.segment_id == segment_id, behind)
    )
    if salesperson is not None:
        entries = entries.where(customers.c.salesperson == salesperson)
    ordered = entries.order_by(row.evaluation, row.customer_id).limit(limit + 1)
    rows = (await conn.execute(ordered)).all()
    items = [Change(each.customer_id, each.external_id, each.at, each.entered, each.by_rule) for each in rows[:limit]]
    last = Position(rows[len(items) - 1].evaluation, items[-1].customer_id) if items else begin
    more = len(rows) > limit
    return Changes(items, last if more else max(last, end, key=_order), more)


async def history(conn: AsyncConnection, segment_id: int, *, days: int = 366) -> Sequence[Size]:
    """The sizes of the last `days` days on which the segment was evaluated, oldest first. Raises NotFound."""
    await segment(conn, segment_id)
    row = segment_sizes.c
    columns = (row.day, row.at, row.size, row.entered, row.left, row.by_rule)
    newest = select(*columns).where(row.segment_id == segment_id).order_by(row.day.desc()).limit(days)
    return [Size(*each) for each in reversed((await conn.execute(newest)).all())]


async def _check_kept(conn: AsyncConnection, segment_id: int, after: Position) -> None:
    row = segment_states.c
    first = await conn.scalar(select(row.feed_from).where(row.segment_id == segment_id)) or 1
    if _order(after) < (first - 1, _LAST) and first > 1:
        message = "is of a time whose entries are no longer kept; read the members anew and start without it"
        raise Invalid(Problem("cursor", message))


def _order(place: Position) -> tuple[int, int]:
    return place.evaluation, place.customer_id

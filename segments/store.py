"""Segments as they are kept: create, read, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Conflict, Invalid, NotFound, Problem
from segments.models import segments
from segments.patterns import check_patterns, patterns
from segments.references import load_references
from segments.refresh import refresh_soon
from segments.rule import parse_rule
from segments.schema import load_schema
from segments.uses import segment_users

NAME_LIMIT = 200
MOST_HELD_OUT = 50


@dataclass(frozen=True)
class Segment:
    """A kept rule. `count` as of `counted_at`: the last evaluation of this rule, None before the first.

    `holdout_percent`: share of customers that no campaign to this segment is sent to.
    """

    id: int
    name: str
    description: str
    rule: Mapping[str, Any]
    count: int | None
    counted_at: datetime | None
    holdout_percent: float
    created_by: str | None
    created_at: datetime
    updated_at: datetime


async def create_segment(
    conn: AsyncConnection,
    name: str,
    rule: object,
    *,
    description: str = "",
    holdout_percent: float = 0.0,
    by: str | None = None,
) -> Segment:
    """Keep a new segment. Raises Invalid: problems of the rule by their path in it, of the name under `name`."""
    await _one_at_a_time(conn)
    values = {
        "name": await _name(conn, name, None),
        "description": _plain(description),
        "holdout_percent": _share(holdout_percent),
        "created_by": by,
    }
    await check_rule(conn, rule)
    made = segment_of((await conn.execute(insert(segments).values(**values, rule=rule).returning(segments))).one())
    await refresh_soon(conn, made.id)
    return made


async def update_segment(
    conn: AsyncConnection,
    segment_id: int,
    *,
    name: str | None = None,
    rule: object = None,
    description: str | None = None,
    holdout_percent: float | None = None,
) -> Segment:
    """Change what is given. Raises NotFound, Invalid (a rule that leads back to this segment too)."""
    await _one_at_a_time(conn)
    await segment(conn, segment_id)
    values: dict[str, Any] = {} if description is None else {"description": _plain(description)}
    if holdout_percent is not None:
        values["holdout_percent"] = _share(holdout_percent)
    if name is not None:
        values["name"] = await _name(conn, name, segment_id)
    if rule is not None:
        await check_rule(conn, rule, segment_id)
        values |= {"rule": rule, "count": None, "counted_at": None}
        await refresh_soon(conn, segment_id)
    statement = update(segments).where(segments.c.id == segment_id).values(**values, updated_at=func.now())
    return segment_of((await conn.execute(statement.returning(segments))).one())


async def delete_segment(conn: AsyncConnection, segment_id: int) -> None:
    """Forget a segment. Raises NotFound, Conflict naming what uses it."""
    await _one_at_a_time(conn)
    found = await segment(conn, segment_id)
    users = await segment_users(conn, segment_id)
    if users:
        raise Conflict(f"segment {segment_id} ({found.name}) is used by {', '.join(users)}")
    try:
        async with conn.begin_nested():
            await conn.execute(delete(segments).where(segments.c.id == segment_id))
    except IntegrityError:
        raise Conflict(f"segment {segment_id} ({found.name}) is used by a campaign") from None


async def segment(conn: AsyncConnection, segment_id: int) -> Segment:
    """The segment of that id. Raises NotFound."""
    row = (await conn.execute(segment_rows().where(segments.c.id == segment_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no segment {segment_id}")
    return segment_of(row)


def segment_rows() -> Select[Any]:
    """All segments, for lists; `segment_of(row)` reads one."""
    return select(segments)


def segment_of(row: Row[Any]) -> Segment:
    """A row of `segment_rows` (further columns are left aside)."""
    return Segment(**{column.name: row._mapping[column.name] for column in segments.columns})


async def check_rule(conn: AsyncConnection, rule: object, own_id: int | None = None) -> None:
    """Raises Invalid for a rule that may not be kept (by segment `own_id`), every culprit by its path."""
    schema = await load_schema(conn)
    tree = parse_rule(rule, schema)
    await check_patterns(conn, patterns([tree]))
    await load_references(conn, tree, schema, own_id)


async def _one_at_a_time(conn: AsyncConnection) -> None:
    """Two changes at once could close a circle that neither sees."""
    await conn.execute(select(func.pg_advisory_xact_lock(func.hashtext("segments"))))


async def _name(conn: AsyncConnection, name: str, own_id: int | None) -> str:
    plain = " ".join(_plain(name).split())
    if not plain:
        raise Invalid(Problem("name", "is missing"))
    if len(plain) > NAME_LIMIT:
        raise Invalid(Problem("name", f"has at most {NAME_LIMIT} characters"))
    taken = select(segments.c.id).where(segments.c.name == plain, segments.c.id.is_distinct_from(own_id))
    if await conn.scalar(taken) is not None:
        raise Invalid(Problem("name", f"there is a segment {plain!r} already"))
    return plain


def _share(percent: float) -> float:
    if not 0 <= percent <= MOST_HELD_OUT:
        raise Invalid(Problem("holdout_percent", f"must be a share in percent from 0 to {MOST_HELD_OUT}"))
    return percent


def _plain(text: str) -> str:
    return text.replace("\0", "").strip()

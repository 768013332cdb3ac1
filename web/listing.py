"""Lists: search, sort and cursor read from the address, and keyset pages over any statement."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Select, Text, and_, cast, literal, literal_column, or_
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from runtime.errors import Invalid, Problem
from runtime.text import printable

MAX_LIMIT = 1_000
COLON: ColumnElement[str] = literal_column("':'", Text)  # between the parts of a key, as indexes have it


@dataclass(frozen=True)
class Listing:
    """What the address asks of a list: `?q=&sort=-name&cursor=&limit=`."""

    q: str
    sort: str
    descending: bool
    cursor: str | None
    limit: int


@dataclass(frozen=True)
class Page:
    """One page of rows; `next` is the cursor of the page after it, None on the last."""

    rows: Sequence[Row[Any]]
    next: str | None


def read_listing(request: Request, sorts: Sequence[str], *, default: str, limit: int = 50) -> Listing:
    """Read the list's state; a sort key outside `sorts` falls back to `default` (`-` before a key: descending)."""
    wanted = request.query_params.get("sort", default)
    if wanted.removeprefix("-") not in sorts:
        wanted = default
    return Listing(
        q=request.query_params.get("q", "").replace("\0", "").strip()[:200],
        sort=wanted.removeprefix("-"),
        descending=wanted.startswith("-"),
        cursor=request.query_params.get("cursor") or None,
        limit=_limit(request.query_params.get("limit"), limit),
    )


async def fetch_page(
    conn: AsyncConnection,
    statement: Select[Any],
    listing: Listing,
    sorts: Mapping[str, ColumnElement[Any]],
    key: ColumnElement[Any],
) -> Page:
    """One page of `statement`, ordered by `sorts[listing.sort]` (missing last) and `key` (unique, never null). An index
    of a column that is never missing and the key serves it.

    Works without OFFSET: the cursor holds the last row's sort value and key. Raises Invalid for a cursor not made here.
    """
    try:
        rows = (await conn.execute(paged(statement, listing, sorts, key))).all()
    except DataError as error:
        raise _bad_cursor() from error
    if len(rows) <= listing.limit:
        return Page(rows, None)
    last = rows[listing.limit - 1]
    return Page(rows[: listing.limit], _encode(last._mapping["_sort"], last._mapping["_key"]))


def paged(
    statement: Select[Any], listing: Listing, sorts: Mapping[str, ColumnElement[Any]], key: ColumnElement[Any]
) -> Select[Any]:
    """The statement of that page, and one row more."""
    column = sorts[listing.sort]
    asked = statement.add_columns(cast(column, Text).label("_sort"), cast(key, Text).label("_key"))
    if listing.cursor is not None:
        asked = asked.where(_after(column, key, listing))
    order = [column.desc() if listing.descending else column.asc(), key.desc() if listing.descending else key.asc()]
    missing = [column.is_(None)] if _may_be_missing(column) else []
    return asked.order_by(*missing, *order).limit(listing.limit + 1)


def _after(column: ColumnElement[Any], key: ColumnElement[Any], listing: Listing) -> ColumnElement[bool]:
    value, last_key = _decode(str(listing.cursor))
    key_bound = cast(literal(last_key, Text), key.type)
    beyond_key = key < key_bound if listing.descending else key > key_bound
    if value is None:
        return and_(column.is_(None), beyond_key)
    bound = cast(literal(value, Text), column.type)
    beyond = column < bound if listing.descending else column > bound
    if _may_be_missing(column):
        return or_(beyond, and_(column == bound, beyond_key), column.is_(None))
    return and_(column <= bound if listing.descending else column >= bound, or_(beyond, beyond_key))


def _may_be_missing(column: ColumnElement[Any]) -> bool:
    return not isinstance(column, Column) or column.nullable is not False


def _encode(value: str | None, key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, key]).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[str | None, str]:
    try:
        value, key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise _bad_cursor() from None
    if not (value is None or isinstance(value, str)) or not isinstance(key, str):
        raise _bad_cursor()
    if printable(f"{value}{key}") != f"{value}{key}":
        raise _bad_cursor()
    return value, key


def _bad_cursor() -> Invalid:
    return Invalid(Problem("cursor", "is not one that a list gave out; start again without it"))


def _limit(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or len(given) > 6 or not 1 <= int(given) <= MAX_LIMIT:
        raise Invalid(Problem("limit", f"must be a number from 1 to {MAX_LIMIT}"))
    return int(given)

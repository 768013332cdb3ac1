"""Keyset pages: every row once, in order, missing values last, in both directions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Numeric,
    Select,
    Table,
    Text,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from customers.models import ratings, suppressed_addresses, suppressions
from runtime.errors import Invalid
from web.listing import Listing, fetch_page, paged, read_listing
from web.pages import suppressed, surveys

things = Table(
    "things",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("name", Text),
    Column("at", DateTime(timezone=True)),
    Column("amount", Numeric(20, 4)),
    Column("place", BigInteger, nullable=False),
)
SORTS = {name: things.c[name] for name in ("name", "at", "amount", "id", "place")}
NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)
ROWS = [
    {
        "id": number,
        "name": None if number % 5 == 0 else f"n{number % 7} “é”",
        "at": None if number % 4 == 0 else NOON + timedelta(microseconds=number % 3),
        "amount": None if number % 6 == 0 else f"{number % 5}.1000",
        "place": number % 9,
    }
    for number in range(1, 41)
]


@pytest.fixture
async def filled(conn: AsyncConnection) -> AsyncConnection:
    await conn.run_sync(things.create)
    await conn.execute(insert(things), ROWS)
    return conn


async def walk(conn: AsyncConnection, listing: Listing) -> list[int]:
    found: list[int] = []
    for _page in range(len(ROWS) + 1):
        page = await fetch_page(conn, select(things), listing, SORTS, things.c.id)
        found += [row.id for row in page.rows]
        if page.next is None:
            return found
        listing = replace(listing, cursor=page.next)
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("sort", list(SORTS))
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 40, 41])
async def test_pages_join_to_the_whole(sort: str, descending: bool, limit: int, filled: AsyncConnection) -> None:
    listing = Listing(q="", sort=sort, descending=descending, cursor=None, limit=limit)
    found = await walk(filled, listing)
    assert sorted(found) == [row["id"] for row in ROWS]
    assert found == await walk(filled, replace(listing, limit=1000))
    values = [next(row for row in ROWS if row["id"] == number)[sort] for number in found]
    known = [value for value in values if value is not None]
    assert values == known + [None] * (len(values) - len(known))


@pytest.mark.parametrize(
    ("lines", "key", "index"),
    [
        (select(suppressed_addresses), suppressed.KEY, "ix_suppressed_addresses_at"),
        (select(suppressions), suppressed.PEOPLE_KEY, "ix_suppressions_at"),
        (select(ratings).where(ratings.c.survey == "csat"), surveys.KEY, "ix_ratings_survey_at"),
    ],
)
async def test_long_lists_are_read_in_the_order_of_an_index(
    lines: Select[Any], key: ColumnElement[str], index: str, conn: AsyncConnection
) -> None:
    """However long they are: without reading and sorting all of it."""
    listing = Listing(q="", sort="at", descending=True, cursor=None, limit=50)
    for setting in ("enable_seqscan", "enable_bitmapscan"):
        await conn.execute(text(f"SET LOCAL {setting} = off"))
    asked = paged(lines, listing, {"at": lines.selected_columns["at"]}, key)
    told = asked.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True})
    plan = "\n".join((await conn.execute(text(f"EXPLAIN {told}".replace(":", "\\:")))).scalars())
    assert (index in plan, "Sort" in plan) == (True, False), plan


async def test_a_cursor_that_no_list_gave_is_refused(filled: AsyncConnection) -> None:
    for cursor in ("x", "bnVsbA", "WyJhIiwgImIiXQ", "WzEsIDJd", "ééé"):
        listing = Listing(q="", sort="at", descending=False, cursor=cursor, limit=5)
        async with filled.begin_nested() as savepoint:
            with pytest.raises(Invalid, match="cursor"):
                await fetch_page(filled, select(things), listing, SORTS, things.c.id)
            await savepoint.rollback()


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize(
    ("query", "sort", "descending"),
    [
        ("", "at", True),
        ("sort=name", "name", False),
        ("sort=-name", "name", True),
        ("sort=secret", "at", True),
        ("sort=--name", "at", True),
        ("sort=name;drop", "at", True),
    ],
)
def test_only_known_sort_keys_are_taken(query: str, sort: str, descending: bool) -> None:
    listing = read_listing(request(query), ("name", "at"), default="-at")
    assert (listing.sort, listing.descending) == (sort, descending)


@given(st.text(max_size=30))
def test_any_limit_is_read_or_refused(limit: str) -> None:
    query = urlencode({"limit": limit.encode("utf-8", "surrogatepass")})
    try:
        listing = read_listing(request(query), ("name",), default="name")
    except Invalid:
        return
    assert 1 <= listing.limit <= 1000

"""Keyset pages: every row once, in order, missing values last, in both directions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, DateTime, MetaData, Numeric, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from runtime.errors import Invalid
from web.listing import Listing, fetch_page, read_listing

things = Table(
    "things",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("name", Text),
    Column("at", DateTime(timezone=True)),
    Column("amount", Numeric(20, 4)),
)
SORTS = {"name": things.c.name, "at": things.c.at, "amount": things.c.amount, "id": things.c.id}
NOON = datetime(2026, 3, 29, 12, 0, 0, 123456, tzinfo=UTC)
ROWS = [
    {
        "id": number,
        "name": None if number % 5 == 0 else f"n{number % 7} “é”",
        "at": None if number % 4 == 0 else NOON + timedelta(microseconds=number % 3),
        "amount": None if number % 6 == 0 else f"{number % 5}.1000",
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

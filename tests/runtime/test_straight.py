"""Statements straight through the driver: in SQLAlchemy's transaction, and with its errors."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from runtime.database import Database, run_straight
from runtime.errors import Unavailable

KEEP = "INSERT INTO kept (n) VALUES (%(n)s) RETURNING n"


@pytest.fixture
async def kept(db: Database) -> Database:
    async with db.begin() as conn:
        await conn.execute(text("CREATE TABLE kept (n integer PRIMARY KEY)"))
    return db


async def numbers(db: Database) -> list[int]:
    async with db.connect() as conn:
        return list((await conn.execute(text("SELECT n FROM kept ORDER BY n"))).scalars())


async def keep_while_the_connection_breaks(db: Database) -> None:
    async with db.connect(autocommit=True) as conn:
        [(pid,)] = await run_straight(conn, "SELECT pg_backend_pid()", {})
        async with db.begin() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        await run_straight(conn, KEEP, {"n": 1})


async def test_it_answers_rows_and_belongs_to_the_transaction(kept: Database) -> None:
    async with kept.begin() as conn:
        assert await run_straight(conn, KEEP, {"n": 1}) == [(1,)]
        assert await numbers(kept) == [], "not committed yet"
    assert await numbers(kept) == [1]


async def test_it_may_be_the_first_statement_of_a_connection(kept: Database) -> None:
    async with kept.connect() as conn:
        await run_straight(conn, KEEP, {"n": 1})
        await conn.commit()
        await run_straight(conn, KEEP, {"n": 2})
    assert await numbers(kept) == [1], "what is not committed is rolled back"


async def test_with_autocommit_each_stands_by_itself(kept: Database) -> None:
    async with kept.connect(autocommit=True) as conn:
        await run_straight(conn, KEEP, {"n": 1})
        with pytest.raises(IntegrityError):
            await run_straight(conn, KEEP, {"n": 1})
        await run_straight(conn, KEEP, {"n": 2})
        assert await numbers(kept) == [1, 2]


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(kept: Database) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await keep_while_the_connection_breaks(kept)
    async with kept.connect(autocommit=True) as conn:
        await run_straight(conn, KEEP, {"n": 2})
    assert await numbers(kept) == [2]

"""Group commit on a real database: shared transactions, errors told to everybody, outages and deadlocks outlasted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import LARGEST_GROUP, Group, GroupCommit

Kept = Callable[[], Awaitable[list[int]]]

ADD = text("INSERT INTO kept SELECT * FROM unnest(CAST(:items AS int[]))")


async def add(conn: AsyncConnection, items: Sequence[int]) -> None:
    await conn.execute(ADD, {"items": list(items)})


async def until(group: Group[int]) -> None:
    await group


@pytest.fixture
async def kept(db: Database) -> Kept:
    """What has been committed, in order."""
    async with db.begin() as conn:
        await conn.execute(text("CREATE TABLE kept (item int CHECK (item >= 0), place serial)"))

    async def read() -> list[int]:
        async with db.connect() as conn:
            return list((await conn.execute(text("SELECT item FROM kept ORDER BY place"))).scalars())

    return read


async def test_what_arrives_during_a_commit_shares_the_next(db: Database, kept: Kept) -> None:
    sizes: list[int] = []

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        sizes.append(len(items))
        await add(conn, items)

    commits = GroupCommit(db, write)
    first = commits.submit(0)
    await asyncio.sleep(0)
    rest = [commits.submit(item) for item in range(1, LARGEST_GROUP + 2)]
    await first
    await asyncio.gather(*rest)
    assert commits.waiting == 0
    assert await kept() == list(range(LARGEST_GROUP + 2))
    assert sum(sizes) == LARGEST_GROUP + 2
    assert len(sizes) <= 3
    assert max(sizes) <= LARGEST_GROUP


async def test_a_group_is_held_open_for_those_that_the_last_one_set_free(db: Database, kept: Kept) -> None:
    sizes: list[int] = []

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        sizes.append(len(items))
        await add(conn, items)

    commits = GroupCommit(db, write, enough=lambda: 2)
    await commits.submit(0)
    second = commits.submit(1)
    await asyncio.sleep(0)
    await asyncio.gather(second, commits.submit(2))
    assert sizes == [1, 2]
    assert await kept() == [0, 1, 2]


async def test_done_means_committed(db: Database, kept: Kept) -> None:
    commits = GroupCommit(db, add)
    for item in range(5):
        await commits.submit(item)
        assert (await kept())[-1] == item


async def test_close_waits_for_what_nobody_awaits(db: Database, kept: Kept) -> None:
    commits = GroupCommit(db, add)
    for item in range(3):
        commits.submit(item)
    await commits.close()
    assert await kept() == [0, 1, 2]


async def test_a_refused_group_is_told_to_all_of_it_and_to_nobody_else(db: Database, kept: Kept) -> None:
    commits = GroupCommit(db, add)
    told = await asyncio.gather(*(commits.submit(item) for item in (1, -1, 2)), return_exceptions=True)
    assert all(isinstance(error, DBAPIError) for error in told)
    await commits.submit(3)
    assert await kept() == [3]


async def test_a_fault_of_the_write_itself_leaves_nobody_waiting(db: Database) -> None:
    async def write(_conn: AsyncConnection, items: Sequence[int]) -> None:
        raise LookupError(items[0])

    commits = GroupCommit(db, write, patience=60)
    told = await asyncio.gather(commits.submit(1), commits.submit(2), return_exceptions=True)
    assert [type(error) for error in told] == [LookupError, LookupError]


async def test_who_is_cancelled_takes_nobody_with_them(db: Database, kept: Kept) -> None:
    commits = GroupCommit(db, add)
    gone = asyncio.create_task(until(commits.submit(1)))
    stays = commits.submit(2)
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert await kept() == [1, 2]  # it was in the group all the same


async def test_an_outage_is_outlasted_within_patience(db: Database, kept: Kept) -> None:
    tries = 0

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        nonlocal tries
        tries += 1
        await add(conn, items)
        if tries < 3:
            await conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    await GroupCommit(db, write, patience=60).submit(7)
    assert (tries, await kept()) == (3, [7])


async def test_patience_ends() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing")
    for patience in (0.0, 0.3):
        commits = GroupCommit(away, add, patience=patience)
        told = await asyncio.gather(*(commits.submit(item) for item in range(3)), return_exceptions=True)
        assert [type(error) for error in told] == [Unavailable] * 3
    await away.close()


async def test_groups_that_lock_each_other_up_both_go_through(db: Database, kept: Kept) -> None:
    """Without any patience: PostgreSQL breaks the deadlock, and the loser begins again."""
    async with db.begin() as conn:
        await add(conn, [1, 2])
    met = asyncio.Barrier(2)
    tries = 0

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        nonlocal tries
        tries += 1
        first, second = items[0], 3 - items[0]
        await conn.execute(text("UPDATE kept SET item = item WHERE item = :item"), {"item": first})
        if tries <= 2:
            await met.wait()
        await conn.execute(text("UPDATE kept SET item = item WHERE item = :item"), {"item": second})

    await asyncio.gather(*(GroupCommit(db, write).submit(item) for item in (1, 2)))
    assert tries >= 3  # more, where the loser is back before the other has woken up


async def test_a_pool_without_a_free_connection_is_unavailable(database_url: str) -> None:
    small = Database(database_url, pool_size=1)
    small.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    async with small.connect() as first, small.connect() as second:
        await first.execute(text("SELECT 1"))
        await second.execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="in use"):
            await GroupCommit(small, add).submit(1)
    await small.close()


async def test_a_connection_is_kept_from_group_to_group(db: Database, kept: Kept) -> None:
    sessions: list[int] = []

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        sessions.append(int(await conn.scalar(text("SELECT pg_backend_pid()")) or 0))
        if items[0] < 3:
            commits.submit(items[0] + 1)
        await add(conn, items)

    commits = GroupCommit(db, write)
    async with db.connect() as busy:  # the pool's first connection is not the one that is there by chance
        await busy.execute(text("SELECT 1"))
        commits.submit(0)
        await commits.close()
    assert await kept() == [0, 1, 2, 3]
    assert (len(sessions), len(set(sessions))) == (4, 1)


async def test_without_a_transaction_each_statement_stands_by_itself(db: Database, kept: Kept) -> None:
    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        await add(conn, items)
        await conn.execute(text("SELECT 1 / 0"))

    for atomic, left in ((True, []), (False, [7])):
        with pytest.raises(DBAPIError):
            await GroupCommit(db, write, atomic=atomic).submit(7)
        assert await kept() == left

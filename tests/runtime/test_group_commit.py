"""Group commit on a real database: shared transactions, errors told to everybody, outages and deadlocks outlasted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import LARGEST_GROUP, Group, GroupCommit
from tests import waiting

Kept = Callable[[], Awaitable[list[int]]]

ADD = text("INSERT INTO kept SELECT * FROM unnest(CAST(:items AS int[]))")


async def add(conn: AsyncConnection, items: Sequence[int]) -> None:
    await conn.execute(ADD, {"items": list(items)})


async def until(group: Group[int]) -> None:
    await group


async def turns(count: int) -> None:
    """Of the event loop: whatever could begin at once has begun."""
    for _ in range(count):
        await asyncio.sleep(0)


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


async def test_a_second_lane_begins_as_soon_as_as_much_waits_as_is_being_written(db: Database, kept: Kept) -> None:
    going, most = 0, 0
    sizes: list[int] = []
    hold = asyncio.Event()

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        sizes.append(len(items))
        if len(sizes) <= 2:
            await hold.wait()
        await add(conn, items)
        going -= 1

    commits = GroupCommit(db, write, atomic=False, lanes=2)
    first = [commits.submit(item) for item in range(3)]
    await waiting.until(lambda: len(sizes) == 1)
    second = [commits.submit(item) for item in range(3, 5)]
    await turns(20)
    assert sizes == [3]  # two wait: less than is being written
    second.append(commits.submit(5))
    await waiting.until(lambda: len(sizes) == 2)
    third = [commits.submit(item) for item in range(6, 16)]
    await turns(20)
    assert sizes == [3, 3]  # no lane is left
    hold.set()
    for group in [*first, *second, *third]:
        await group
    await commits.close()
    assert (most, sizes) == (2, [3, 3, 10])
    assert sorted(await kept()) == list(range(16))


async def test_a_lane_keeps_its_connection_for_a_while(db: Database, kept: Kept) -> None:
    backends: list[int] = []

    async def write(conn: AsyncConnection, items: Sequence[int]) -> None:
        backends.append((await conn.execute(text("SELECT pg_backend_pid()"))).scalar_one())
        await add(conn, items)

    commits = GroupCommit(db, write, lanes=2, linger=60.0)
    for item in range(3):
        await commits.submit(item)
        async with db.connect() as other:  # would be handed the connection that was given back last
            await other.execute(text("SELECT 1"))
            assert (await other.execute(text("SELECT pg_backend_pid()"))).scalar_one() not in backends
    assert len(set(backends)) == 1
    await asyncio.wait_for(commits.close(), 10)
    assert sorted(await kept()) == [0, 1, 2]


async def test_lanes_lose_nothing_whatever_comes_when(db: Database, kept: Kept) -> None:
    rng = random.Random(11)
    commits = GroupCommit(db, add, atomic=False, lanes=3, linger=0.002)
    groups: list[Group[int]] = []
    for item in range(400):
        groups.append(commits.submit(item))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))
    for group in groups:
        await group
    await commits.close()
    assert sorted(await kept()) == list(range(400))

"""One leader at a time: what a thawed one writes is refused, and a standby takes over in time."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from runtime import scheduler
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from runtime.leader import LEASE_SECONDS, NotLeader, Term, acquire, check_term, release
from runtime.scheduler import run_scheduler, tick
from tests.waiting import until

LEASE = "test"


async def take(db: Database, holder: str) -> Term | None:
    async with db.begin() as conn:
        return await acquire(conn, LEASE, holder)


async def run_out(db: Database) -> None:
    async with db.begin() as conn:
        await conn.execute(text("UPDATE leases SET expires_at = now() - interval '1 second'"))


async def test_lease_has_one_holder_and_terms_grow_with_each_change(db: Database) -> None:
    assert await take(db, "a") == Term(LEASE, 1)
    assert await take(db, "b") is None
    assert await take(db, "a") == Term(LEASE, 1)
    await run_out(db)
    assert await take(db, "a") == Term(LEASE, 1), "nobody else led in between"
    await run_out(db)
    assert await take(db, "b") == Term(LEASE, 2)
    assert await take(db, "a") is None
    async with db.begin() as conn:
        await release(conn, LEASE, "a")
    assert await take(db, "a") is None, "only the holder can give it up"
    async with db.begin() as conn:
        await release(conn, LEASE, "b")
    assert await take(db, "a") == Term(LEASE, 3)


async def test_of_many_at_once_one_wins(db: Database) -> None:
    assert [term for term in await asyncio.gather(*(take(db, f"h{n}") for n in range(8))) if term] == [Term(LEASE, 1)]
    await run_out(db)
    assert [term for term in await asyncio.gather(*(take(db, f"i{n}") for n in range(8))) if term] == [Term(LEASE, 2)]


async def test_thawed_leader_is_refused(db: Database) -> None:
    term = await take(db, "frozen")
    assert term is not None
    async with db.begin() as conn:
        await check_term(conn, term)
    await run_out(db)
    await take(db, "standby")
    with pytest.raises(NotLeader):
        async with db.begin() as conn:
            await check_term(conn, term)


async def test_lease_cannot_be_taken_from_under_a_write(db: Database) -> None:
    term = await take(db, "leader")
    assert term is not None
    async with db.begin() as conn:
        await check_term(conn, term)
        await run_out(db)
        assert await take(db, "standby") is None
        assert await take(db, "leader") == term, "renewing does not wait for the write"
        await run_out(db)
    assert await take(db, "standby") == Term(LEASE, 2)


async def test_leader_frozen_within_a_write_loses_it(db: Database) -> None:
    term = await take(db, "frozen")
    assert term is not None
    with pytest.raises(Unavailable):
        await _write_until_taken(db, term)
    async with db.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM workspace")) == 0


async def _write_until_taken(db: Database, term: Term) -> None:
    async with db.begin() as conn:
        await check_term(conn, term)
        await conn.execute(text("INSERT INTO workspace VALUES ('early', '1')"))
        await run_out(db)
        await until(lambda: _taken(db, "standby"))
        await conn.execute(text("INSERT INTO workspace VALUES ('late', '1')"))


async def _taken(db: Database, holder: str) -> bool:
    return await take(db, holder) is not None


@pytest.fixture
def ticks() -> Iterator[list[tuple[int, datetime]]]:
    """The only tick of this test notes its terms."""
    before = dict(scheduler._registered)
    scheduler._registered.clear()
    noted: list[tuple[int, datetime]] = []

    @tick(every=timedelta(seconds=0.2))
    async def note(_house: House, term: Term, now: datetime) -> None:
        noted.append((term.number, now))

    yield noted
    scheduler._registered.clear()
    scheduler._registered.update(before)


async def test_standby_takes_over(house: House, ticks: list[tuple[int, datetime]]) -> None:
    second = dataclasses.replace(house, stopping=asyncio.Event())
    leader = asyncio.create_task(run_scheduler(house))
    await until(lambda: ticks)
    standby = asyncio.create_task(run_scheduler(second))
    await until(lambda: len(ticks) > 5)
    assert {number for number, _ in ticks} == {1}
    assert abs(ticks[-1][1] - datetime.now(UTC)) < timedelta(minutes=1)
    house.stopping.set()
    await asyncio.wait_for(leader, 10)
    started = time.monotonic()
    await until(lambda: ticks[-1][0] == 2)
    assert time.monotonic() - started < LEASE_SECONDS, "a lease that was given up is free at once"
    second.stopping.set()
    await asyncio.wait_for(standby, 10)


async def test_leader_that_cannot_renew_stops_ticking_by_itself(
    house: House, ticks: list[tuple[int, datetime]]
) -> None:
    leading = asyncio.create_task(run_scheduler(house))
    await until(lambda: ticks)
    async with house.database.begin() as conn:
        await conn.execute(text("ALTER TABLE leases RENAME TO away"))
    await asyncio.sleep(0)
    count = -1

    async def quiet() -> bool:
        nonlocal count
        before, count = count, len(ticks)
        await asyncio.sleep(0.6)  # three times the tick's interval
        return before == len(ticks)

    await until(quiet, 15)
    async with house.database.begin() as conn:
        await conn.execute(text("ALTER TABLE away RENAME TO leases"))
    await until(lambda: len(ticks) > count)
    house.stopping.set()
    await asyncio.wait_for(leading, 10)

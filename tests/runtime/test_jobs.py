"""The queue: jobs live and die with the transaction that defers them, and no accident loses one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from runtime import jobs
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import Claim, LostClaim, Waiting, check_claim, current_claim, defer, defer_all, is_waiting, job
from runtime.worker import release_stalled, run_worker
from tests.waiting import until

seen: list[Any] = []


@pytest.fixture(autouse=True)
def _jobs_of_this_test() -> Iterator[None]:
    before = dict(jobs.declared_jobs())
    seen.clear()
    yield
    jobs._declared.clear()
    jobs._declared.update(before)


@asynccontextmanager
async def working(house: House) -> AsyncIterator[None]:
    """A worker that runs meanwhile and stops gracefully."""
    worker = asyncio.create_task(run_worker(house))
    try:
        yield
    finally:
        house.stopping.set()
        await asyncio.wait_for(worker, 30)


async def queued(house: House) -> list[tuple[str, str]]:
    async with house.database.connect() as conn:
        rows = await conn.execute(text("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id"))
        return [(row[0], row[1]) for row in rows]


async def test_job_is_deferred_with_the_transaction(house: House) -> None:
    @job("test.note")
    async def note(house: House, *, word: str) -> None:
        seen.append((word, house.settings.currency))

    async with house.database.connect() as conn:
        await defer(conn, note, word="rolled back")
        await conn.rollback()
    async with house.database.connect() as conn:
        await defer(conn, note, word="committed")
        assert await queued(house) == []
        await conn.commit()
    async with working(house):
        await until(lambda: seen)
    assert seen == [("committed", "CNY")]
    assert await queued(house) == []


async def test_many_jobs_run_by_priority_and_not_before_their_time(house: House) -> None:
    @job("test.number")
    async def number(_house: House, *, n: int) -> None:
        seen.append(n)

    @job("test.urgent", priority=5)
    async def urgent(_house: House, *, n: int) -> None:
        seen.append(n)

    async with house.database.begin() as conn:
        for n in range(3):
            await defer(conn, number, n=n, lock="one at a time")
        await defer(conn, urgent, n=9, lock="one at a time")
        await defer(conn, number, n=100, schedule_at=utc_now() + timedelta(hours=1))
    async with working(house):
        await until(lambda: len(seen) == 4)
    assert seen == [9, 0, 1, 2]
    assert await queued(house) == [("test.number", "todo")]


async def test_many_jobs_are_deferred_at_once(house: House) -> None:
    @job("test.each", priority=3)
    async def each(_house: House, *, n: int) -> None:
        seen.append(n)

    async with house.database.begin() as conn:
        await defer_all(conn, each, [])
        await defer_all(conn, each, [Waiting({"n": n}, "one at a time", n) for n in range(4)])
        await defer_all(conn, each, [Waiting({"n": 9})])
        assert await is_waiting(conn, "one at a time")
    async with working(house):
        await until(lambda: len(seen) == 5)
    assert [n for n in seen if n != 9] == [3, 2, 1, 0]
    assert await queued(house) == []


async def test_queueing_lock_adds_nothing_and_spoils_nothing(house: House) -> None:
    @job("test.once")
    async def once(_house: House) -> None:
        seen.append(1)

    async with house.database.begin() as conn:
        assert await defer(conn, once, queueing_lock="only one") is not None
        assert await defer(conn, once, queueing_lock="only one") is None
        assert await defer(conn, once) is not None
    assert len(await queued(house)) == 2


async def test_failing_job_is_tried_again_as_its_backoff_says(house: House) -> None:
    @job("test.fragile", retry=Backoff(3, timedelta(0)))
    async def fragile(_house: House) -> None:
        seen.append(1)
        raise ValueError("broken")

    async with house.database.begin() as conn:
        await defer(conn, fragile)
    async with working(house):
        await until(lambda: len(seen) == 3)
        await until_async_failed(house)
    assert len(seen) == 3


async def until_async_failed(house: House) -> None:
    async def failed() -> bool:
        return await queued(house) == [("test.fragile", "failed")]

    await until(failed)


async def test_graceful_stop_lets_jobs_finish(house: House) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    @job("test.slow")
    async def slow(house: House) -> None:
        started.set()
        await house.stopping.wait()
        await go_on.wait()
        seen.append("finished")

    async with house.database.begin() as conn:
        await defer(conn, slow)
    async with working(house):
        await asyncio.wait_for(started.wait(), 20)
        house.stopping.set()
        go_on.set()
    assert seen == ["finished"]
    assert await queued(house) == []


async def test_jobs_of_a_silent_worker_go_back_and_its_late_end_changes_nothing(house: House) -> None:
    attempts: list[asyncio.Event] = []
    refused = asyncio.Event()

    @job("test.frozen")
    async def frozen(house: House) -> None:
        attempts.append(asyncio.Event())
        mine = attempts[-1]
        await mine.wait()
        try:
            async with house.database.begin() as conn:
                await check_claim(conn)
                seen.append(attempts.index(mine))
        except LostClaim:
            refused.set()
            raise

    async with house.database.begin() as conn:
        await defer(conn, frozen)
    async with working(house):
        await until(lambda: attempts)
        assert await release_stalled(house) == 0
        async with house.database.begin() as conn:
            await conn.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"))
        assert await release_stalled(house) == 1
        await until(lambda: len(attempts) == 2)
        attempts[0].set()  # the first attempt thaws while the second one runs
        await asyncio.wait_for(refused.wait(), 20)
        assert (await queued(house))[0] == ("test.frozen", "doing")
        attempts[1].set()
        await until(lambda: seen)
    assert seen == [1]
    assert await queued(house) == []


async def test_going_back_behind_a_successor_with_the_same_queueing_lock(house: House) -> None:
    @job("test.follow", retry=Backoff(2, timedelta(0)))
    async def follow(house: House) -> None:
        seen.append(1)
        if len(seen) == 1:
            async with house.database.begin() as conn:
                await defer(conn, follow, queueing_lock="one waits")
            raise ValueError("after the successor was queued")

    async with house.database.begin() as conn:
        await defer(conn, follow, queueing_lock="one waits")
    async with working(house):
        await until(lambda: len(seen) == 3)
    assert await queued(house) == []
    async with house.database.begin() as conn:
        for status in ("doing", "doing", "todo"):
            row = {"status": status}
            await conn.execute(
                text(
                    "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, status)"
                    " VALUES ('default', 'test.follow', 'one waits', CAST(:status AS procrastinate_job_status))"
                ),
                row,
            )
    assert await release_stalled(house) == 2
    assert await queued(house) == [("test.follow", "todo")] * 3


async def test_claim_is_lost_with_the_attempt(house: House) -> None:
    async with house.database.begin() as conn:
        job_id = await conn.scalar(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts)"
                " VALUES ('default', 'test.x', 'doing', 2) RETURNING id"
            )
        )
        await check_claim(conn)
        current_claim.set(Claim(job_id, 2))
        await check_claim(conn)
        current_claim.set(Claim(job_id, 1))
        with pytest.raises(LostClaim):
            await check_claim(conn)


async def test_what_is_given_up_is_told_once(house: House) -> None:
    async def told(_house: House, error: Exception, *, word: str) -> None:
        seen.append((word, str(error)))

    @job("test.hopeless", retry=Backoff(2, timedelta(0)), given_up=told)
    async def hopeless(_house: House, *, word: str) -> None:
        seen.append(word)
        raise ValueError("a bug")

    async with house.database.begin() as conn:
        await defer(conn, hopeless, word="once")
    async with working(house):
        await until(lambda: len(seen) == 3)
    assert seen == ["once", "once", ("once", "a bug")]
    assert await queued(house) == [("test.hopeless", "failed")]

"""The task queue: rooms declare jobs, defer them inside the transaction that makes them due, and workers run them.

@job("campaigns.send_batch", retry=Backoff(5, timedelta(minutes=1)))
async def send_batch(house: House, *, run_id: int, batch: int) -> None: ...

await defer(conn, send_batch, run_id=1, batch=7)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import JobDeferrer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.backoff import Backoff
from runtime.database import driver
from runtime.errors import Conflict
from runtime.house import House

JobFunction = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Job:
    """A declared job. `function(house, **arguments)`, arguments being JSON; `retry` says what to do when it raises;
    `given_up(house, error, **arguments)` is called before it is never tried again.

    A job may run twice (its worker died, the database went away): it asks its tables what is left to do.
    It must not hold the event loop for more than a second, or its worker counts as dead.
    """

    name: str
    function: JobFunction
    retry: Backoff | None
    priority: int
    given_up: Callable[..., Awaitable[None]] | None = None

    def __call__(self, house: House, **arguments: Any) -> Awaitable[None]:
        return self.function(house, **arguments)


class LostClaim(Conflict):
    """This job was given to another worker while this one did not answer."""


@dataclass(frozen=True)
class Claim:
    """One attempt at one job; a later attempt has a higher number."""

    job_id: int
    attempt: int


current_claim: ContextVar[Claim | None] = ContextVar("current_claim", default=None)

_HOLD_CLAIM = text(
    "SELECT 1 FROM procrastinate_jobs WHERE id = :id AND status = 'doing' AND attempts = :attempt FOR SHARE"
)
_declared: dict[str, Job] = {}
# Never opened: deferring uses the caller's connection.
_deferrer = procrastinate.App(connector=procrastinate.PsycopgConnector())


def job(
    name: str,
    *,
    retry: Backoff | None = None,
    priority: int = 0,
    given_up: Callable[..., Awaitable[None]] | None = None,
) -> Callable[[JobFunction], Job]:
    """Declare an async function as the job `name` (`room.verb`); higher priorities run first."""

    def declare(function: JobFunction) -> Job:
        _declared[name] = Job(name, function, retry, priority, given_up)
        return _declared[name]

    return declare


def declared_jobs() -> Mapping[str, Job]:
    return _declared


async def defer(
    conn: AsyncConnection,
    task: Job,
    *,
    lock: str | None = None,
    queueing_lock: str | None = None,
    schedule_at: datetime | None = None,
    priority: int | None = None,
    **arguments: Any,
) -> int | None:
    """Put `task` into the queue when the transaction of `conn` commits; workers wake by themselves.

    Jobs with the same `lock` run one after another. With `queueing_lock`, nothing is added (None) while another such
    job waits; that one may start before this transaction commits and not see what it wrote. A job that goes back into
    the queue (it failed, its worker died) does so without this lock. `priority`: other than the task's own.
    """
    deferrer = await _configured(conn, task, lock, queueing_lock, schedule_at, _place(task, priority))
    if queueing_lock is None:
        return await deferrer.defer_async(**arguments)
    raw = await driver(conn)
    try:
        async with raw.transaction():  # a savepoint: the refusal must not spoil the caller's transaction
            return await deferrer.defer_async(**arguments)
    except AlreadyEnqueued:
        return None


@dataclass(frozen=True)
class Waiting:
    """One of many jobs of a kind: `lock` and `priority` as for `defer`."""

    arguments: Mapping[str, Any]
    lock: str | None = None
    priority: int | None = None


async def defer_all(conn: AsyncConnection, task: Job, waiting: Sequence[Waiting]) -> None:
    """As `defer` for each of many, in one statement."""
    if not waiting:
        return
    first = waiting[0]
    deferrer = await _configured(conn, task, first.lock, None, None, _place(task, first.priority))
    jobs = [
        deferrer.job.evolve(lock=each.lock, priority=_place(task, each.priority), task_kwargs=dict(each.arguments))
        for each in waiting
    ]
    await deferrer.job_manager.batch_defer_jobs_async(jobs=jobs, connection=deferrer.connection)


async def withdraw(conn: AsyncConnection, task: Job, argument: str, value: int) -> None:
    """Take those jobs of `task` whose `argument` is `value` out of the queue that have not begun."""
    statement = text(
        "SELECT count(procrastinate_cancel_job_v1(id, false, true)) FROM procrastinate_jobs"
        " WHERE status = 'todo' AND task_name = :name AND CAST(args ->> :argument AS bigint) = :value"
    )
    await conn.execute(statement, {"name": task.name, "argument": argument, "value": value})


async def is_waiting(conn: AsyncConnection, lock: str) -> bool:
    """Whether a job with this lock waits in the queue; one that went back counts, unlike for a `queueing_lock`."""
    statement = text("SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'todo' AND lock = :lock)")
    return bool(await conn.scalar(statement, {"lock": lock}))


async def held_claims(conn: AsyncConnection, claims: Collection[Claim]) -> set[Claim]:
    """Those of `claims` that no other worker has taken over."""
    if not claims:
        return set()
    statement = text(
        "SELECT id, attempts FROM procrastinate_jobs WHERE id = ANY (CAST(:ids AS bigint[])) AND status = 'doing'"
    )
    rows = await conn.execute(statement, {"ids": [claim.job_id for claim in claims]})
    return {Claim(row.id, row.attempts) for row in rows} & set(claims)


async def check_claim(conn: AsyncConnection) -> None:
    """Within a job: raises LostClaim if the job has gone to another worker; it cannot go before the transaction ends.

    For writes that must not happen twice. Outside a job (tests, commands) it allows everything.
    """
    claim = current_claim.get()
    if claim is None:
        return
    if await conn.scalar(_HOLD_CLAIM, {"id": claim.job_id, "attempt": claim.attempt}) is None:
        raise LostClaim(f"job {claim.job_id} was given to another worker")


def _place(task: Job, priority: int | None) -> int:
    return task.priority if priority is None else priority


async def _configured(
    conn: AsyncConnection,
    task: Job,
    lock: str | None,
    queueing_lock: str | None,
    schedule_at: datetime | None,
    priority: int,
) -> JobDeferrer:
    if not conn.in_transaction():
        await conn.execute(text("SELECT 1"))  # SQLAlchemy begins lazily; otherwise its commit would commit nothing
    return _deferrer.configure_task(
        task.name,
        lock=lock,
        queueing_lock=queueing_lock,
        schedule_at=schedule_at,
        priority=priority,
        connection=await driver(conn),
    )

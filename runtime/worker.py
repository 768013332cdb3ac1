"""The worker: runs declared jobs, and keeps at it when the database goes away or another worker dies.

A worker says every few seconds that it lives. The others put the jobs of one that has been silent for STALLED_SECONDS
back into the queue, so a killed one is made good in less than half a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import procrastinate
import psycopg
import psycopg_pool
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job as QueuedJob
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.database import driver_url
from runtime.errors import Unavailable
from runtime.house import House
from runtime.jobs import Claim, Job, current_claim, declared_jobs
from runtime.process import pause

log = logging.getLogger(__name__)

STALLED_SECONDS = 15.0
_HEARTBEAT_SECONDS = 4.0
_SWEEP_SECONDS = 5.0
_RECONNECT_SECONDS = 1.0
_GRACE_SECONDS = 25.0  # for running jobs after a request to stop
_KEPT_HOURS = 14 * 24
_DISTURBED = Backoff(None, timedelta(seconds=2), timedelta(minutes=1))

# What goes back gives its queueing lock up: another job with that lock may be waiting already.
_BACK = "status = 'todo', attempts = attempts + 1, queueing_lock = NULL, abort_requested = false"
_RELEASE = text(
    f"""
    UPDATE procrastinate_jobs SET {_BACK}, scheduled_at = now() WHERE id IN (
        SELECT job.id FROM procrastinate_jobs job
        WHERE job.status = 'doing' AND NOT EXISTS (
            SELECT FROM procrastinate_workers worker
            WHERE worker.id = job.worker_id AND worker.last_heartbeat >= now() - make_interval(secs => :seconds))
        FOR UPDATE SKIP LOCKED)
    """  # noqa: S608 -- constants
)
_FORGET_WORKER = text("DELETE FROM procrastinate_workers WHERE id = :id")


async def run_worker(house: House, *, concurrency: int = 8) -> None:
    """Run jobs until `house.stopping`; running ones may then finish. Survives any loss of the database."""
    sweeper = asyncio.create_task(_sweep(house))
    try:
        await _work(house, concurrency)
    finally:
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper


async def release_stalled(house: House, silent_seconds: float = STALLED_SECONDS) -> int:
    """Put the jobs of workers that have been silent for so long back into the queue; how many."""
    async with house.database.begin() as conn:
        released = (await conn.execute(_RELEASE, {"seconds": silent_seconds})).rowcount
    if released:
        log.warning("%s jobs of a dead worker are back in the queue", released)
    return released


async def _work(house: House, concurrency: int) -> None:
    ours: int | None = None  # our registration, when the database went away before it could be withdrawn
    away = False
    while not house.stopping.is_set():
        worker: Worker | None = None
        try:
            if ours is not None:
                await _forget(house, ours)
                ours = None
            async with _queue(house, concurrency) as app:
                worker, away = _worker(app, concurrency), False
                await _run_until_stopping(house, worker)
        except (ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout, DBAPIError, Unavailable, OSError) as error:
            if not away:
                log.warning("the worker lost the database and waits for it: %s", _reason(error))
            away = True
            ours = worker.worker_id if worker is not None else ours
        await pause(house, _RECONNECT_SECONDS)


async def _run_until_stopping(house: House, worker: Worker) -> None:
    run: asyncio.Task[None] = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]
    stopping = asyncio.create_task(house.stopping.wait())
    try:
        await asyncio.wait({run, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        worker.stop()  # type: ignore[no-untyped-call]
        await run


async def _forget(house: House, worker_id: int) -> None:
    """Withdraw our registration of before the database went away; what it was doing has ended, and goes back now."""
    async with house.database.begin() as conn:
        await conn.execute(_FORGET_WORKER, {"id": worker_id})
    await release_stalled(house)


async def _sweep(house: House) -> None:
    while True:
        with contextlib.suppress(Unavailable, DBAPIError):  # told by the worker; here it is tried again
            await release_stalled(house)
        await asyncio.sleep(_SWEEP_SECONDS)


@contextlib.asynccontextmanager
async def _queue(house: House, concurrency: int) -> AsyncIterator[procrastinate.App]:
    """The queue, opened on this house's database, with all declared jobs."""
    async with house.database.connect() as conn:
        await conn.execute(text("SELECT 1"))  # the pool below would wait long for a database that is away
    connector = procrastinate.PsycopgConnector(
        conninfo=driver_url(house.database.url),
        min_size=1, max_size=concurrency + 4, timeout=10.0, reconnect_timeout=10.0,
    )  # fmt: skip
    app = procrastinate.App(connector=connector)
    app.job_manager = _FencedManager(connector)
    for declared in declared_jobs().values():
        app.task(name=declared.name, pass_context=True, retry=_Retry(declared))(_runner(house, declared))
    app.periodic(cron="17 * * * *")(app.task(name="runtime.clear_jobs", pass_context=True)(_clear_jobs))
    async with app.open_async():
        yield app


def _worker(app: procrastinate.App, concurrency: int) -> Worker:
    return Worker(
        app,
        name="hearth",
        concurrency=concurrency,
        fetch_job_polling_interval=2.0,
        shutdown_graceful_timeout=_GRACE_SECONDS,
        delete_jobs="successful",
        install_signal_handlers=False,
        update_heartbeat_interval=_HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
    )


def _runner(house: House, declared: Job) -> Callable[..., Awaitable[None]]:
    async def run(context: procrastinate.JobContext, **arguments: Any) -> None:
        assert context.job.id is not None
        current_claim.set(Claim(context.job.id, context.job.attempts))
        try:
            await declared.function(house, **arguments)
        except Exception as error:  # whatever it is goes on; here it is only told to whom it matters
            again = _Retry(declared).get_retry_decision(exception=error, job=context.job)
            if declared.given_up is not None and again is None:
                await declared.given_up(house, error, **arguments)
            raise

    return run


async def _clear_jobs(context: procrastinate.JobContext, timestamp: int) -> None:
    """Forget jobs that ended long ago; failed ones are kept until then for whoever asks what went wrong."""
    del timestamp
    await context.app.job_manager.delete_old_jobs(
        nb_hours=_KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


class _Retry(BaseRetryStrategy):
    """The job's own backoff; besides, what the house's troubles broke off is always tried again."""

    def __init__(self, declared: Job) -> None:
        self.own = declared.retry

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        now = utc_now()
        if isinstance(exception, asyncio.CancelledError):  # the worker stops
            return RetryDecision(retry_at=now)
        backoff = _DISTURBED if _is_disturbance(exception) else self.own
        again = backoff.next_at(job.attempts + 1, now) if backoff is not None else None
        return RetryDecision(retry_at=again) if again is not None else None


def _is_disturbance(exception: BaseException) -> bool:
    """Whether the database or another part is to blame, not the job: it did not refuse what it was told."""
    cause = exception.orig if isinstance(exception, DBAPIError) else exception
    if isinstance(cause, psycopg.DataError | psycopg.IntegrityError | psycopg.ProgrammingError):
        return False
    return isinstance(exception, Unavailable | DBAPIError | psycopg.Error | ConnectorException)


class _FencedManager(JobManager):
    """A worker that was frozen so long that its job went to another one may not end that other one's attempt."""

    async def finish_job(self, job: QueuedJob, status: Status, delete_job: bool) -> None:
        await self.connector.execute_query_async(
            "SELECT procrastinate_finish_job_v1(id, %(end)s, %(delete_job)s) FROM procrastinate_jobs "
            "WHERE id = %(job_id)s AND status = 'doing' AND attempts = %(attempts)s FOR UPDATE",
            end=status.value, delete_job=delete_job, job_id=job.id, attempts=job.attempts,
        )  # fmt: skip

    async def retry_job(
        self,
        job: QueuedJob,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        await self.connector.execute_query_async(
            f"UPDATE procrastinate_jobs SET {_BACK}, scheduled_at = %(retry_at)s,"  # noqa: S608 -- constants
            " priority = coalesce(%(priority)s, priority), queue_name = coalesce(%(queue)s, queue_name),"
            " lock = coalesce(%(lock)s, lock)"
            " WHERE id = %(job_id)s AND status = 'doing' AND attempts = %(attempts)s",
            retry_at=retry_at, priority=priority, queue=queue, lock=lock, job_id=job.id, attempts=job.attempts,
        )  # fmt: skip


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause) or type(cause).__name__).splitlines()[0]

"""What becomes of a job that raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import psycopg
import pytest
from procrastinate.jobs import Job as QueuedJob
from sqlalchemy.exc import DataError, OperationalError

from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House
from runtime.jobs import Job
from runtime.worker import _Retry


async def nothing(_house: House) -> None:
    """A job."""


ONCE, THRICE = None, Backoff(3, timedelta(minutes=1))
LOST = OperationalError("SELECT 1", {}, psycopg.OperationalError("gone"))
REFUSED = DataError("SELECT 1", {}, psycopg.DataError("not a number"))

CASES = [
    (ONCE, 0, ValueError(), None),
    (THRICE, 0, ValueError(), 60),
    (THRICE, 1, ValueError(), 120),
    (THRICE, 2, ValueError(), None),
    (ONCE, 0, asyncio.CancelledError(), 0),
    (ONCE, 0, Unavailable("database"), 2),
    (ONCE, 1, LOST, 4),
    (ONCE, 99, psycopg.OperationalError("gone"), 60),
    (ONCE, 0, REFUSED, None),
    (THRICE, 1, REFUSED, 120),
]


@pytest.mark.parametrize(("backoff", "attempts", "error", "seconds"), CASES)
def test_decision(backoff: Backoff | None, attempts: int, error: BaseException, seconds: float | None) -> None:
    queued = QueuedJob(queue="default", lock=None, queueing_lock=None, task_name="test", attempts=attempts)
    decision = _Retry(Job("test", nothing, backoff, 0)).get_retry_decision(exception=error, job=queued)
    if seconds is None:
        assert decision is None
        return
    assert decision is not None
    assert decision.retry_at is not None
    assert abs(decision.retry_at - utc_now() - timedelta(seconds=seconds)) < timedelta(seconds=1)


async def test_a_job_is_still_a_function(house: House) -> None:
    ran = Job("test", nothing, None, 0)(house)
    assert isinstance(ran, Awaitable)
    await ran

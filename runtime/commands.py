"""`hearth worker`, `hearth scheduler`, `hearth db upgrade|check`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import click

from runtime import migrate
from runtime.errors import Conflict
from runtime.house import House, database_address
from runtime.process import live
from runtime.scheduler import run_scheduler
from runtime.settings import load_settings
from runtime.terminal import answer
from runtime.worker import run_worker

T = TypeVar("T")


@click.command()
@click.option("--jobs", default=8, show_default=True, type=click.IntRange(1, 100), help="Jobs that run at once.")
def worker(jobs: int) -> None:
    """Run a worker: sending, imports and everything else that is queued. Start as many as wanted."""

    async def work(house: House) -> None:
        await run_worker(house, concurrency=jobs)

    live("worker", work)
    answer({"state": "stopped"}, "worker stopped")


@click.command()
def scheduler() -> None:
    """Run a scheduler: starts what is due. Of several, one leads and the others stand by."""
    live("scheduler", run_scheduler)
    answer({"state": "stopped"}, "scheduler stopped")


@click.group()
def db() -> None:
    """The database: upgrade, check, rebuild what is counted."""


@db.command()
def upgrade() -> None:
    """Bring the database to this program's newest revision. Safe to run again, and from several machines."""
    _with_database(migrate.upgrade)
    answer({"revision": migrate.newest_revision()}, f"the database is at revision {migrate.newest_revision()}")


@db.command()
def check() -> None:
    """Say whether the database fits this program; exit status 1 if not."""
    problems = _with_database(migrate.check)
    if problems:
        raise Conflict("; ".join(problems))
    answer({"revision": migrate.newest_revision(), "problems": []}, "the database fits this program")


def _with_database(action: Callable[[str], T]) -> T:
    async def connected() -> T:
        async with database_address(load_settings()) as url:
            return await asyncio.to_thread(action, url)

    return asyncio.run(connected())


commands: list[click.Command] = [worker, scheduler, db]

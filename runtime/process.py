"""The life of a long-running process: logs, signals, and a supervisor that keeps several of them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta

import uvloop

from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House, open_house
from runtime.settings import load_settings

log = logging.getLogger(__name__)

_SUPERVISOR = "HEARTH_SUPERVISOR"
_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 40.0
_STEADY_SECONDS = 30.0  # a child that lived so long starts its backoff anew
_FIRST_SECONDS = 60.0  # a child that fails so soon after the first start has a reason, and has said it
_RESTARTS = Backoff(None, timedelta(seconds=0.5), timedelta(seconds=30))
_COLLECT_AFTER = (10_000, 5, 5)  # new objects; then rounds of each younger generation
_QUIET = {
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "apscheduler.scheduler": logging.ERROR,  # a slow tick is not run twice at once: as wanted
    "imapclient": logging.WARNING,
    "procrastinate": logging.WARNING,
    "procrastinate.utils": logging.CRITICAL,  # a database that is away is told once, by the worker
    "procrastinate.worker.hearth": logging.CRITICAL,
    "psycopg.pool": logging.ERROR,
    "uvicorn.error": logging.WARNING,
}


def live(name: str, work: Callable[[House], Awaitable[None]], *, upgrade: bool = False) -> None:
    """Be the process `name`: do `work` in an open house until SIGTERM or SIGINT sets `house.stopping`."""
    write_logs(name)
    die_with_supervisor()
    spare_the_collector()

    async def lived() -> None:
        async with open_house(load_settings(), upgrade=upgrade) as house:
            with stop_on_signals(house):
                await work(house)

    uvloop.run(lived())


def write_logs(name: str) -> None:
    """Logs go to stderr: one line an event, with the process that says it."""
    form = f"%(asctime)s {name} %(levelname)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
    for logger, level in _QUIET.items():
        logging.getLogger(logger).setLevel(level)


def spare_the_collector() -> None:
    """What is loaded by now stays for ever, so it is not looked through again; and what comes is looked through less
    often: next to nothing of it stands in cycles, and a worker spent a fifth of its time looking for them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def die_with_supervisor() -> None:
    """A child of `keep` is asked to stop when its supervisor dies, however that happens."""
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        raise Unavailable("the supervisor has gone")


@contextlib.contextmanager
def stop_on_signals(house: House) -> Iterator[None]:
    """SIGTERM and SIGINT set `house.stopping`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, house.stopping.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def pause(house: House, seconds: float) -> None:
    """Sleep, or wake at once when the house stops."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(house.stopping.wait(), seconds)


async def keep(house: House, children: Mapping[str, Sequence[str]]) -> None:
    """Run each child (name → command line) until `house.stopping`, starting again what ends before that.

    Raises Unavailable when a child fails right after its first start; all others are stopped then.
    """
    keepers = [asyncio.create_task(_keep_one(house, name, command)) for name, command in children.items()]
    await asyncio.wait(keepers, return_when=asyncio.FIRST_EXCEPTION)
    house.stopping.set()
    for result in await asyncio.gather(*keepers, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _keep_one(house: House, name: str, command: Sequence[str]) -> None:
    started, tries = time.monotonic(), 0
    first = True
    while not house.stopping.is_set():
        began = time.monotonic()
        status = await _run_child(house, command)
        if house.stopping.is_set():
            return
        if first and status > 0 and time.monotonic() - started < _FIRST_SECONDS:
            raise Unavailable(f"{name} does not start; its own words are above")
        first = False
        tries = 1 if time.monotonic() - began > _STEADY_SECONDS else tries + 1
        now = utc_now()
        seconds = ((_RESTARTS.next_at(tries, now) or now) - now).total_seconds()
        log.warning("%s ended with status %s; starting it again in %.1f s", name, status, seconds)
        await pause(house, seconds)


async def _run_child(house: House, command: Sequence[str]) -> int:
    """Run to its end, or ask it to end when the house stops; the exit status, negative for a signal."""
    environ = {**os.environ, _SUPERVISOR: str(os.getpid())}
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, env=environ
    )
    ended = asyncio.create_task(child.wait())
    stopping = asyncio.create_task(house.stopping.wait())
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        child.terminate()
        await asyncio.wait({ended}, timeout=_STOP_SECONDS)
    if not ended.done():
        log.warning("process %s does not stop; killing it", child.pid)
        child.kill()
    return await ended

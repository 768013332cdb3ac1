"""Workers as processes of their own, and what processes cost: CPU and memory as the kernel counts them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from sqlalchemy import text

from bench.ground import free_port, wait_for_port
from runtime.errors import Unavailable
from runtime.house import House

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0  # seconds


@asynccontextmanager
async def workers(house: House, count: int, smtp_url: str) -> AsyncIterator[list[int]]:
    """Process ids of `count` running `hearth worker`s on the database of `house`."""
    with ExitStack() as stack:
        pids = [stack.enter_context(_worker(house, smtp_url)) for _ in range(count)]
        await _registered(house, count)
        yield pids


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / _TICKS


def family_cpu_seconds(pid: int) -> float:
    """The same with its children that live: of a database server, all its sessions."""
    return cpu_seconds(pid) + sum(sum(map(int, _stat(child)[11:13])) / _TICKS for child in _children(pid))


def memory(pid: int) -> float:
    """Resident megabytes of a process that are its own."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


async def server_pid(house: House) -> int:
    """The process id of the database server."""
    async with house.database.connect() as conn:
        folder = await conn.scalar(text("SHOW data_directory"))
    return _postmaster(str(folder))


@contextmanager
def slow_sink(delay: float) -> Iterator[int]:
    """The port of a mail server that takes everything and lets each answer wait for `delay` seconds."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.slow_sink", str(port), str(delay)])
    try:
        wait_for_port(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(_PATIENCE)


@contextmanager
def _worker(house: House, smtp_url: str) -> Iterator[int]:
    settings = house.settings
    environ = {
        **os.environ,
        "HEARTH_DATABASE_URL": house.database.url.replace("+psycopg", ""),
        "HEARTH_DATA_DIR": str(settings.data_dir),
        "HEARTH_SECRET_KEY": settings.secret_key or "",
        "HEARTH_SMTP_URL": smtp_url,
        "HEARTH_MAIL_FROM": settings.mail_from,
        "HEARTH_PUBLIC_URL": settings.public_url,
    }
    command = [sys.executable, "-c", "import hearth; hearth.main()", "worker"]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


async def _registered(house: House, count: int) -> None:
    for _ in range(int(_PATIENCE / 0.1)):
        async with house.database.connect() as conn:
            if await conn.scalar(text("SELECT count(*) FROM procrastinate_workers")) == count:
                return
        await asyncio.sleep(0.1)
    raise Unavailable("the workers did not come up")


def _postmaster(folder: str) -> int:
    return int(Path(folder, "postmaster.pid").read_text().splitlines()[0])


def _stat(pid: int) -> list[str]:
    """Fields 3 and up of /proc/<pid>/stat; zeros for a process that has just ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50


def _children(pid: int) -> list[int]:
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [child for child in found if _stat(child)[1] == str(pid)]

"""The running Hearth of the demo: `hearth up` as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from channels.email.mailbox import MailboxStore, serving
from runtime.database import Database
from runtime.errors import Conflict, Unavailable
from runtime.settings import DEFAULT_SMTP_URL

HEARTH = Path(sys.executable).parent / "hearth"
STARTED_WITHIN = 60.0
STOPPED_WITHIN = 60.0
_PORTS = 40


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Hold the data directory's demo lock. Raises Conflict while another demo runs there."""
    path = data_dir / "demo.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"a demo is already running in {data_dir}; stop it there with Ctrl-C first") from None
        yield


@asynccontextmanager
async def mailbox(database: Database, host: str) -> AsyncIterator[str]:
    """What HEARTH_SMTP_URL has to be: empty where `hearth up` can run its demo mailbox at the usual port, else the
    address of one that runs here for the length of the block (another Hearth may be running on this machine)."""
    usual = urlsplit(DEFAULT_SMTP_URL).port or 0
    if _is_free(host, usual):
        yield ""
        return
    store = MailboxStore(database)
    try:
        async with serving(host, 0, store.deliver) as port:
            yield f"smtp://{host}:{port}"
    finally:
        await store.close()


@asynccontextmanager
async def running(environ: Mapping[str, str], host: str, port: int, log: Path) -> AsyncIterator[None]:
    """`hearth up` with these settings, answering on `host:port` until the block ends. Its output goes to `log`.

    Raises Unavailable with the end of the log if it does not come up, and again if it ends by itself meanwhile.
    """
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            HEARTH,
            *("up", "--host", host, "--port", str(port)),
            env={**environ, "HEARTH_SUPERVISOR": str(os.getpid())},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
    try:
        await _answering(process, f"http://{host}:{port}/health", log)
        yield
        if process.returncode is not None:
            raise Unavailable(f"hearth up ended by itself; {_tail(log)}")
    finally:
        await _stop(process)


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port above it that nobody listens on. Raises Unavailable where there is none."""
    for port in range(wanted, min(wanted + _PORTS, 65_536)):
        if _is_free(host, port):
            return port
    raise Unavailable(f"all ports from {wanted} to {wanted + _PORTS - 1} are taken; free one or set HEARTH_PUBLIC_URL")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


async def _answering(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + STARTED_WITHIN
    async with httpx.AsyncClient(trust_env=False) as client:
        while asyncio.get_running_loop().time() < deadline:
            if process.returncode is not None:
                raise Unavailable(f"hearth up did not start; {_tail(log)}")
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url, timeout=5)).is_success:
                    return
            await asyncio.sleep(0.1)
    raise Unavailable(f"hearth up does not answer at {url}; {_tail(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to end; what has not ended in time is killed with its children."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOPPED_WITHIN)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _tail(log: Path, lines: int = 8) -> str:
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return f"the end of {log}:\n" + "\n".join(last)

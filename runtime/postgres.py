"""The embedded PostgreSQL, shared by every command that runs.

In `<data dir>`: `postgres/` (see `runtime.cluster`) and two lock files. `postgres.lock` is held shared by whoever uses
the server, and who gets it alone on leaving stops the server; `postgres.starting` is held while anyone starts, stops,
joins or leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from runtime.cluster import DATABASE, DURABLE, THROWAWAY, Cluster
from runtime.errors import Unavailable

__all__ = ["DURABLE", "THROWAWAY", "Server", "embedded"]

log = logging.getLogger(__name__)

_LOCK_SECONDS = 240.0  # longer than a start takes


@asynccontextmanager
async def embedded(data_dir: Path, options: Mapping[str, str] = DURABLE) -> AsyncIterator[str]:
    """The address of a running server over `data_dir`, started (and created) where needed, restarted while in use.

    Any number of processes may do this at once; the last one to leave stops the server. Raises Unavailable when it does
    not start. Joining blocks the loop for about a second: nothing else runs yet.
    """
    server = Server(data_dir, options)
    server.join()
    watch = asyncio.create_task(_watch(server))
    try:
        yield server.url
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        server.leave()


async def _watch(server: Server) -> None:
    """Bring the server back when it was killed; the database's own log says why it went."""
    pause = 0.5
    while True:
        await asyncio.sleep(pause)
        if server.alive():
            pause = 0.5
            continue
        log.warning("the embedded database is gone; starting it again")
        try:
            await asyncio.to_thread(server.revive)
        except Unavailable as error:
            log.error("%s", error)
            pause = min(pause * 2, 8.0)


class Server:
    """A cluster in a data directory, and this process's share in its running."""

    def __init__(self, data_dir: Path, options: Mapping[str, str] = DURABLE) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = Cluster(self.data_dir / "postgres", options)
        self._held: IO[str] | None = None

    @property
    def url(self) -> str:
        return self.cluster.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of another database of the same server."""
        return self.cluster.url_of(database)

    def alive(self) -> bool:
        return self.cluster.alive()

    def __enter__(self) -> str:
        self.join()
        return self.url

    def __exit__(self, *_: object) -> None:
        self.leave()

    def join(self) -> None:
        """Use the server: it runs when this returns, and until `leave`."""
        with self._changing():
            held = self._open_lock("postgres.lock")
            fcntl.flock(held, fcntl.LOCK_SH)
            try:
                self.cluster.ensure()
            except BaseException:
                held.close()
                raise
            self._held = held

    def leave(self) -> None:
        """Stop using the server; the last one stops it."""
        if self._held is None:
            return
        with self._changing(), self._held as held:
            self._held = None
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self.cluster.stop()

    def revive(self) -> None:
        """Start the server again if it died while in use."""
        with self._changing():
            if self._held is not None:
                self.cluster.ensure()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._open_lock("postgres.starting") as starting:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(starting, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Unavailable(
                            f"another process has been starting the database in {self.data_dir} for too long"
                        ) from None
                    time.sleep(0.02)
            yield

    def _open_lock(self, name: str) -> IO[str]:
        try:
            if not self.data_dir.exists():
                # Passable, not readable: the server's account may be another one.
                self.data_dir.mkdir(parents=True, mode=0o711, exist_ok=True)
            return (self.data_dir / name).open("a")
        except OSError as error:
            raise Unavailable(f"HEARTH_DATA_DIR: cannot write in {self.data_dir}: {error.strerror}") from None

"""Results, recorded by group commit: what comes in while one commit is under way goes into the next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database
from runtime.errors import Unavailable
from tracking.ledger import Outcome

log = logging.getLogger(__name__)

T = TypeVar("T")
MOST_AT_ONCE = 1_000
PATIENCE = 60.0  # seconds without a database, after which the batch goes back to the queue
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message; `bad_address` (kind, value): nobody may be written to there any more."""

    outcome: Outcome
    bad_address: tuple[str, str] | None = None


Write = Callable[[AsyncConnection, Sequence[Result]], Awaitable[None]]


class Recorder:
    """`submit` answers a future that is done once the result is committed (or has failed to be, past PATIENCE)."""

    def __init__(self, database: Database, write: Write) -> None:
        self._database = database
        self._write = write
        self._waiting: list[tuple[Result, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def submit(self, result: Result) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work_off())
        return future

    async def close(self) -> None:
        """Return when everything submitted is committed or has failed."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _work_off(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                await committed(self._database, self._write, [result for result, _ in group])
            except (DBAPIError, Unavailable) as error:
                log.error("%s results could not be recorded: %s", len(group), error)
                for _, future in group:
                    if not future.cancelled():
                        future.set_exception(Unavailable(f"results could not be recorded: {error}"))
                        future.exception()  # whoever awaits it sees it; nobody has to
                continue
            for _, future in group:
                if not future.cancelled():
                    future.set_result(None)


async def committed(
    database: Database, write: Callable[[AsyncConnection, T], Awaitable[None]], value: T, patience: float = PATIENCE
) -> None:
    """`write` in a transaction of its own, again and again while the database is away or two transactions lock each
    other up. Raises what stood in the way once `patience` (seconds) is over."""
    deadline = time.monotonic() + patience
    while True:
        try:
            async with database.begin() as conn:
                await write(conn, value)
            return
        except (DBAPIError, Unavailable):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE)

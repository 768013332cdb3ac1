"""Whoever looks at follow-ups is told when theirs are others: one listener a process, none while nobody looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from sales.bell import hearing
from sales.worklist import versions_of
from web.access import Role, house_of
from web.guard import session_secret
from web.live import BEAT, HEADERS, LISTEN, MOST, RETRY, event, hub_of
from web.sessions import hashed

log = logging.getLogger(__name__)

ANYWAY = 10.0  # seconds without a ring after which one looks all the same
AGAIN = 3.0  # seconds until a lost database is tried again


class Bell:
    """`looking` says whose follow-ups are looked at; `changed` waits until the `versions` were asked for once more."""

    def __init__(self, database: Database) -> None:
        self.versions: dict[str, str] = {}
        self.rung = 0
        self.streams = 0
        self._database = database
        self._looked_at: Counter[str] = Counter()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def looking(self, code: str) -> Iterator[None]:
        self._looked_at[code] += 1
        self.streams += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self.streams -= 1
            self._looked_at[code] -= 1
            self._looked_at = +self._looked_at

    async def changed(self, after: int) -> int:
        async with self._news:
            await self._news.wait_for(lambda: self.rung > after)
        return self.rung

    async def close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while self._looked_at:
            try:
                async with hearing(self._database) as raw:
                    while self._looked_at:
                        await self._look()
                        async for _ in raw.notifies(timeout=ANYWAY, stop_after=1):
                            pass
            except (psycopg.Error, DBAPIError, Unavailable) as error:
                log.warning("news of follow-ups wait for the database: %s", error)
                await asyncio.sleep(AGAIN)

    async def _look(self) -> None:
        async with self._database.connect() as conn:
            self.versions = await versions_of(conn, list(self._looked_at))
        self.rung += 1
        async with self._news:
            self._news.notify_all()


_bells: WeakKeyDictionary[House, Bell] = WeakKeyDictionary()


def bell_of(house: House) -> Bell:
    if house not in _bells:
        _bells[house] = Bell(house.database)
    return _bells[house]


async def close_bell(house: House) -> None:
    """For the end of the process."""
    bell = _bells.pop(house, None)
    if bell is not None:
        await bell.close()


def news(request: Request, code: str, shown: str, allow: Collection[Role]) -> StreamingResponse:
    """Events `news` whenever the follow-ups of `code` (EVERYBODY: all) are others than those of the version `shown`;
    `gone` when this viewer may not look any more. Raises 503 where too many look."""
    bell = bell_of(house_of(request))
    if bell.streams >= MOST:
        raise HTTPException(503, headers={"Retry-After": "30"})
    return StreamingResponse(
        _events(request, bell, code, shown, allow), media_type="text/event-stream", headers=HEADERS
    )


async def _events(request: Request, bell: Bell, code: str, shown: str, allow: Collection[Role]) -> AsyncIterator[str]:
    house, session, rung, spoke = house_of(request), hashed(str(session_secret(request))), 0, time.monotonic()
    door = hub_of(house).door
    door.enter(session)
    try:
        with bell.looking(code):
            yield f"retry: {RETRY}\n\n"
            while not house.stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(LISTEN):
                        rung = await bell.changed(rung)
                if not await door.may(session, allow):
                    yield event("gone")
                    return
                version = bell.versions.get(code, shown)
                if version != shown:
                    shown, spoke = version, time.monotonic()
                    yield event("news")
                elif time.monotonic() - spoke > BEAT:
                    spoke = time.monotonic()
                    yield ": beat\n\n"
    finally:
        door.leave(session)

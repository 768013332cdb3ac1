"""Server-sent events: what changes while somebody looks at it.

Whoever looks gets a fresh picture first and then each one that differs, rendered once a process for all who read the
same language. A stream ends when its session ends or no longer may, and when the process stops.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse

from campaigns.live.watcher import Watcher
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from web.access import Role, house_of
from web.guard import session_secret
from web.i18n import current_language
from web.sessions import hashed, roles_of_sessions

BEAT = 15.0  # seconds without news after which a comment keeps the connection open
LISTEN = 2.0  # seconds after which a stream without news looks whether it must end
CHECK = 5.0  # seconds for which a session is taken to stand
MOST = 500  # streams of a process
RETRY = 3_000  # milliseconds after which a browser comes back
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Draw = Callable[[], str | None]


class Doorkeeper:
    """Which of the sessions that hold a stream may still do so: one question for all of them, every CHECK seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Counter[bytes] = Counter()
        self._roles: dict[bytes, Role] = {}
        self._asked: frozenset[bytes] = frozenset()  # about whom, the last time; who comes meanwhile is not among them
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    def enter(self, session: bytes) -> None:
        self._held[session] += 1
        self._asked -= {session}

    def leave(self, session: bytes) -> None:
        self._held[session] -= 1
        self._held = +self._held

    async def may(self, session: bytes, allow: Collection[Role]) -> bool:
        """True also while the database is away: nothing is told meanwhile."""
        async with self._asking:
            if session not in self._asked or time.monotonic() - self._asked_at > CHECK:
                held = frozenset(self._held)
                with suppress(Unavailable):
                    async with self._database.connect() as conn:
                        self._roles = await roles_of_sessions(conn, held, utc_now())
                    self._asked, self._asked_at = held, time.monotonic()
        return session not in self._asked or self._roles.get(session) in allow


@dataclass
class Hub:
    """The streams of a process. `drawn` holds the pictures of `version`, by what and language."""

    watcher: Watcher
    door: Doorkeeper
    boot: str = field(default_factory=lambda: secrets.token_hex(4))
    streams: int = 0
    version: int = 0
    drawn: dict[tuple[int, str], str | None] = field(default_factory=dict)

    def draw(self, what: int, make: Draw) -> str | None:
        """`make()`, once for each version and language."""
        if self.version != self.watcher.version:
            self.version, self.drawn = self.watcher.version, {}
        key = (what, current_language())
        if key not in self.drawn:
            self.drawn[key] = make()
        return self.drawn[key]


_hubs: WeakKeyDictionary[House, Hub] = WeakKeyDictionary()


def hub_of(house: House) -> Hub:
    """The hub of this process; it does nothing while nobody watches."""
    if house not in _hubs:
        _hubs[house] = Hub(Watcher(house.database), Doorkeeper(house.database))
    return _hubs[house]


async def close_hub(house: House) -> None:
    """End the polling; for the end of the process."""
    hub = _hubs.pop(house, None)
    if hub is not None:
        await hub.watcher.close()


def wants_events(request: Request) -> bool:
    """A browser's event source asks, not somebody who follows a link."""
    return "text/event-stream" in request.headers.get("accept", "")


def stream(request: Request, what: int, make: Draw, allow: Collection[Role]) -> StreamingResponse:
    """Events `picture` with what `make` renders of `what` (a campaign, or ALL), whenever it is another; "" for not yet,
    None for no more. `gone` then, and when this viewer may not look any more. Raises 503 where too many watch."""
    hub = hub_of(house_of(request))
    if hub.streams >= MOST:
        raise HTTPException(503, headers={"Retry-After": "30"})
    events = _events(request, hub, what, make, allow)
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


async def _events(request: Request, hub: Hub, what: int, make: Draw, allow: Collection[Role]) -> AsyncIterator[str]:
    session = hashed(str(session_secret(request)))
    hub.streams += 1
    hub.door.enter(session)
    try:
        with hub.watcher.watching(what):
            async for event in _told(house_of(request), hub, what, make, session, allow, request):
                yield event
    finally:
        hub.door.leave(session)
        hub.streams -= 1


async def _told(
    house: House, hub: Hub, what: int, make: Draw, session: bytes, allow: Collection[Role], request: Request
) -> AsyncIterator[str]:
    version, spoke = 0, time.monotonic()
    known = request.headers.get("last-event-id")  # as long as nothing has changed since, there is nothing to tell
    shown: str | None = None
    yield f"retry: {RETRY}\n\n"
    while not house.stopping.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTEN):
                version = await hub.watcher.changed(version)
        if not await hub.door.may(session, allow):
            yield event("gone")
            return
        picture = hub.draw(what, make) if version else None
        if version and picture is None:
            yield event("gone")
            return
        if picture and picture != shown:
            name = f"{hub.boot}.{hash(picture) & 0xFFFFFFFF:08x}"
            if name != known:
                yield event("picture", picture, name)
                spoke = time.monotonic()
            shown, known = picture, None
        elif time.monotonic() - spoke > BEAT:
            yield ": beat\n\n"
            spoke = time.monotonic()


def event(kind: str, data: str = "", name: str | None = None) -> str:
    """One event as it goes over the wire. `name`: its id."""
    lines = [f"id: {name}"] if name else []
    lines += [f"event: {kind}", *(f"data: {line}" for line in data.splitlines() or [""])]
    return "\n".join(lines) + "\n\n"

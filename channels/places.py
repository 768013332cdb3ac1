"""A few places for many guests, in turns: who has one goes on with it, then whose turn is longest ago.

Whoever comes with much to do gets all the places that become free for a while, so that one after another is through
with it, and those who came together do not all end together.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

TURN = 0.5  # seconds for which a guest goes before the others of its rank


class Guest:
    """Somebody who needs places again and again. Those of a higher `rank` go first."""

    def __init__(self, rank: int = 0) -> None:
        self._rank = rank
        self._begun: float | None = None  # when its latest turn began
        self._came = time.monotonic()

    def order(self, now: float) -> tuple[int, bool, float]:
        """The smallest goes first."""
        if self._begun is None:
            return -self._rank, True, self._came
        return -self._rank, now - self._begun >= TURN, self._begun

    def served(self, now: float) -> None:
        """It got a place: its turn begins, unless that is under way."""
        if self._begun is None or now - self._begun >= TURN:
            self._begun = now


class Places:
    """`limit` of them at most are taken at once."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: dict[Guest, deque[asyncio.Future[None]]] = {}

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._waiting)

    async def take(self, guest: Guest) -> None:
        """Wait until it is the guest's turn and a place is free. To be given back with `give_back`."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(guest)
        guest.served(time.monotonic())

    def give_back(self) -> None:
        """For whoever's turn it is."""
        now = time.monotonic()
        while self._waiting:
            guest = min(self._waiting, key=lambda each: each.order(now))
            future = self._waiting[guest][0]
            self._leave(guest, future)
            if not future.cancelled():
                future.set_result(None)
                return
        self._free += 1

    async def _wait(self, guest: Guest) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(guest, deque()).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._leave(guest, future)
            else:  # it was given a place, and did not live to see it
                self.give_back()
            raise

    def _leave(self, guest: Guest, future: asyncio.Future[None]) -> None:
        queue = self._waiting.get(guest, deque())
        if future in queue:
            queue.remove(future)
        if not queue:
            self._waiting.pop(guest, None)

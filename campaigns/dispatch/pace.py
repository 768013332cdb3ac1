"""Messages a second, shared by all workers: the database grants slots in chunks, each worker keeps to its own by a
monotonic clock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import Database

AHEAD = 5.0  # seconds: slots further ahead are not granted yet, and a batch does not wait longer for its turn
LONGEST = 30.0  # seconds that a throttled batch may keep a worker; the rest is requeued


@dataclass(frozen=True)
class Grant:
    """`count` slots, the first in `wait` seconds; no slots: ask again in `wait` seconds."""

    count: int
    wait: float


async def grant(conn: AsyncConnection, campaign_id: int, rate: float, wanted: int) -> Grant:
    """Up to `wanted` slots at `rate` a second. The caller commits, so that nobody else gets the same."""
    await conn.execute(_FIRST, {"id": campaign_id})
    count = max(1, min(wanted, int(rate)))
    values = {"id": campaign_id, "seconds": count / rate, "ahead": AHEAD}
    wait = await conn.scalar(_TAKE, values)
    if wait is not None:
        return Grant(count, max(0.0, float(wait)))
    later = await conn.scalar(_LATER, {"id": campaign_id})
    return Grant(0, max(0.0, float(later or 0.0)))


class Pacer:
    """The turns of one batch. `rate` None: no waiting. `later` is set once the batch has to make room for others."""

    def __init__(self, database: Database, campaign_id: int, rate: float | None) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._rate = rate
        self._slots = 0
        self._next = 0.0
        self._deadline = time.monotonic() + LONGEST
        self.later: float | None = None

    @property
    def ready(self) -> bool:
        """Whether a turn can be had without waiting."""
        if self._rate is None:
            return True
        return self._slots > 0 and self._next <= time.monotonic() <= self._deadline

    async def turn(self, wanted: int) -> bool:
        """Wait for the next slot; False where the rest (`wanted` messages) must be requeued for in `later` seconds."""
        if self._rate is None:
            return True
        if time.monotonic() > self._deadline:
            self.later = 0.0
            return False
        if self._slots == 0 and not await self._ask(wanted, self._rate):
            return False
        self._slots -= 1
        await asyncio.sleep(self._next - time.monotonic())
        self._next += 1 / self._rate
        return True

    async def _ask(self, wanted: int, rate: float) -> bool:
        async with self._database.begin() as conn:
            granted = await grant(conn, self._campaign_id, rate, wanted)
        if granted.count == 0:
            self.later = granted.wait
            return False
        self._slots = granted.count
        self._next = time.monotonic() + granted.wait
        return True


_FIRST = text("INSERT INTO paces (campaign_id, next_at) VALUES (:id, clock_timestamp()) ON CONFLICT DO NOTHING")

_TAKE = text("""
    UPDATE paces SET next_at = greatest(next_at, clock_timestamp()) + make_interval(secs => :seconds)
    WHERE campaign_id = :id AND next_at <= clock_timestamp() + make_interval(secs => :ahead)
    RETURNING extract(epoch FROM next_at - make_interval(secs => :seconds) - clock_timestamp())
""")

_LATER = text("SELECT extract(epoch FROM next_at - clock_timestamp()) FROM paces WHERE campaign_id = :id")

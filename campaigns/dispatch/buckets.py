"""Messages a second, shared by all workers: the database grants slots in chunks, each process keeps to its own by a
monotonic clock.

A bucket is one rate: of a campaign, a sender, a recipient domain. Its row says up to when slots are given away. A slot
is a moment at which one message may go; nobody else has the same. Slots run a little slower than the rate, which
makes up for those that are used late, so that no span of WINDOW seconds sees more than the rate allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.ranks import Rank

WINDOW = 5.0  # seconds over which the rate is kept, whatever the number of workers
CHUNK = 0.5  # seconds' worth of slots in one grant
BUNCHED = 0.05  # seconds of slots that may be used at once by a process that was held up
LATE = 0.1  # seconds after its last moment in which a chunk may still be used (or the time of one slot)
SOONEST = 0.01  # seconds after which those ask again who got nothing
_SPACED = 1.0 / (1.0 - (BUNCHED + LATE) / WINDOW)

# How far ahead slots are given away. Where many want them, a higher rank gets those that a lower one is still refused.
AHEAD = {Rank.CAMPAIGN: 1.0, Rank.JOURNEY: 2.0, Rank.TRANSACTIONAL: 4.0}


class Kind(StrEnum):
    """What a bucket limits."""

    CAMPAIGN = "campaign"
    SENDER = "sender"
    DOMAIN = "domain"


@dataclass(frozen=True)
class Grant:
    """`count` slots, the first in `wait` seconds; no slots: ask again in `wait` seconds."""

    count: int
    wait: float


class Tap:
    """The slots that this process holds of one bucket. `now` is always the monotonic clock."""

    def __init__(self, kind: Kind, name: str, rate: float, rank: Rank) -> None:
        self.kind = kind
        self.name = name
        self.rank = rank
        self.rate = rate
        self.ask_at = 0.0  # nothing is to be had before
        self._left = 0
        self._next = 0.0
        self._end = 0.0

    @property
    def spacing(self) -> float:
        return _SPACED / self.rate

    def change(self, rate: float) -> None:
        """Another rate from now on; what was granted at the old one is void."""
        if rate != self.rate:
            self.rate = rate
            self.ask_at = self._next = 0.0
            self._left = 0

    def wanted(self, most: int) -> int:
        """How many slots to ask for where `most` messages wait."""
        return max(1, min(most, int(self.rate * CHUNK)))

    def fill(self, granted: Grant, now: float) -> None:
        """Take what the database answered."""
        self.ask_at = now + granted.wait
        if granted.count == 0:
            return
        # A held-up process catches up within its chunk only: the next one keeps its distance from it.
        self._next = max(now + granted.wait, self._next)
        self._left = granted.count
        self._end = now + granted.wait + (granted.count - 1) * self.spacing + max(LATE, self.spacing)

    def waits(self, now: float) -> float | None:
        """Seconds until the next slot, 0 where one can be used now; None where none is left and it must be asked."""
        if self._left and now - self._next > BUNCHED:
            self._next = now - BUNCHED
        if self._left and self._next > self._end:
            self._left = 0
        if self._left == 0:
            return None if self.ask_at <= now else self.ask_at - now
        return max(0.0, self._next - now)

    def ready(self, now: float) -> bool:
        return self.waits(now) == 0.0 and self._left > 0

    def take(self) -> None:
        """Use the slot that is ready."""
        self._left -= 1
        self._next += self.spacing


async def grant(conn: AsyncConnection, tap: Tap, most: int) -> Grant:
    """Slots for up to `most` messages. The caller commits, so that nobody else gets the same."""
    count = tap.wanted(most)
    bucket = {"kind": tap.kind, "name": tap.name}
    values = {**bucket, "seconds": count * tap.spacing, "ahead": AHEAD[tap.rank]}
    wait = await conn.scalar(_TAKE, values)
    if wait is not None:
        return Grant(count, max(0.0, float(wait)))
    later = float(await conn.scalar(_LATER, bucket) or 0.0)
    return Grant(0, max(SOONEST, later - AHEAD[tap.rank]))


_TAKE = text("""
    INSERT INTO buckets AS b (kind, name, next_at)
    VALUES (:kind, :name, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (kind, name) DO UPDATE
    SET next_at = greatest(b.next_at, clock_timestamp()) + make_interval(secs => :seconds)
    WHERE b.next_at <= clock_timestamp() + make_interval(secs => :ahead)
    RETURNING extract(epoch FROM next_at - make_interval(secs => :seconds) - clock_timestamp())
""")

_LATER = text("""
    SELECT extract(epoch FROM next_at - clock_timestamp()) FROM buckets WHERE kind = :kind AND name = :name
""")

"""What all batches of a process know of rates, warm-ups and recipient domains; kept in step with the other workers.

Nothing here costs a message more than a few look-ups. One poller a process, while batches are under way, reads what
was settled, tells which domains asked for a pause, and hears what the others found out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Hashable, Iterable
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import DBAPIError

from campaigns.dispatch.buckets import Kind, Tap, grant
from campaigns.dispatch.domains import Domain
from campaigns.dispatch.quota import Quota, draw, give_back
from campaigns.ranks import Rank
from campaigns.sending.holds import Hold, holds_now, live_workers, write_holds
from campaigns.sending.limits import Limits, load_limits
from runtime.clock import local_date, utc_now
from runtime.database import Database
from runtime.errors import Unavailable

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks at the database
PLACES = 4  # batches that may wait for long; a worker has some more, for those that need not wait
AWAY = 60.0  # seconds after which a batch that left looks again, at the latest
KNOWN = 20_000  # domains that are remembered; beyond that, idle ones are forgotten


class Traffic:
    """Shared by the batches of a process; `current` first, `close` last."""

    def __init__(self, database: Database, timezone: str, rng: random.Random | None = None) -> None:
        self.limits = Limits()
        self.workers = 1
        self.crossing = 0  # domains that batches under way have messages for
        self.rng = rng or random.Random()  # noqa: S311 -- spreads, hides nothing
        self.timezone = timezone
        self.waiting: dict[Hashable, Hashable] = {}  # batches that wait long, and for what
        self._database = database
        self._domains: dict[str, Domain] = {}
        self._taps: dict[tuple[Kind, str, Rank], Tap] = {}
        self._quotas: dict[str, Quota] = {}
        self._held: dict[str, Hold] = {}  # as the database has them
        self._news: dict[str, Hold | None] = {}  # to be written; None: it takes messages again
        self._queues: dict[Hashable, float] = {}  # until when those who left have booked what they waited for
        self._asking = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []
        self._poller: asyncio.Task[None] | None = None

    async def current(self) -> None:
        """What the database says, at most a few seconds ago. Raises Unavailable or DBAPIError."""
        if self._poller is None:
            async with self._asking:
                if self._poller is None:
                    await self._look()
                    self._poller = asyncio.create_task(self._poll())

    def domain(self, name: str, lines: int) -> Domain:
        """The state of a (main) domain; `lines`: connections of this process."""
        found = self._domains.get(name)
        if found is None:
            found = self._domains[name] = Domain(name, lines)
            found.answered_at = time.monotonic()
            self._settle(found)
            if (hold := self._held.get(name)) is not None:
                self._heed(found, hold)
        return found

    def tap(self, kind: Kind, name: str, rate: float, rank: Rank) -> Tap:
        """This process's slots of a bucket."""
        found = self._taps.get((kind, name, rank))
        if found is None:
            found = self._taps[kind, name, rank] = Tap(kind, name, rate, rank)
        found.change(rate)
        return found

    def quota(self, name: str) -> Quota | None:
        """What a sender that is being warmed up may send today; None without a plan."""
        settled = self.limits.senders.get(name)
        if settled is None or settled.warm_up is None:
            return None
        today = local_date(utc_now(), self.timezone)
        found = self._quotas.setdefault(name, Quota(name, settled.warm_up, today))
        found.turn_to(settled.warm_up, today)
        return found

    async def fill(self, tap: Tap, most: int) -> None:
        """Ask for slots, unless somebody has just done so. Raises Unavailable or DBAPIError."""
        async with self._asking:
            if tap.waits(time.monotonic()) is None:
                async with self._database.begin() as conn:
                    granted = await grant(conn, tap, most)
                tap.fill(granted, time.monotonic())

    async def draw(self, quota: Quota, most: int) -> None:
        """Ask for more of the day, unless somebody has just done so. Raises Unavailable or DBAPIError."""
        async with self._asking:
            if not quota.open and not quota.spent:
                async with self._database.begin() as conn:
                    drawn = await draw(conn, quota, most)
                quota.left += drawn
                quota.spent = drawn == 0

    def note(self, domain: Domain, *, held: bool) -> None:
        """The domain begins a pause, or takes messages again; the others hear of it within seconds."""
        if not held:
            self._news[domain.name] = None
            return
        now, left = utc_now(), domain.held_until - time.monotonic()
        self._news[domain.name] = Hold(domain.name, domain.level, now + timedelta(seconds=left), domain.said, now)
        log.warning("%s gets no mail for %.0f s: %s", domain.name or "the channel", left, domain.said)

    def may_wait(self, batch: Hashable, obstacle: Hashable) -> bool:
        """Whether a batch may wait long: the first for its obstacle, while there are places."""
        if self.waiting.get(batch) != obstacle:
            others = [taken for other, taken in self.waiting.items() if other != batch]
            if obstacle in others or len(others) >= PLACES:
                return False
            self.waiting[batch] = obstacle
        return True

    def queue_up(self, obstacle: Hashable, messages: int, speed: float, longest: float = AWAY) -> float:
        """Seconds after which a batch with so many messages left should come back, behind those that left before."""
        now = time.monotonic()
        self._queues[obstacle] = max(now, self._queues.get(obstacle, now)) + messages * self.workers / speed
        return min(self._queues[obstacle] - now, longest) * self.rng.uniform(0.9, 1.0)

    async def something(self, seconds: float) -> None:
        """Wait until a message was answered, at most `seconds`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await waiter

    def wake(self) -> None:
        """A message was answered: there may be room for another."""
        if self._waiting:
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiting.clear()

    async def close(self) -> None:
        """Nobody sends any more: what is left of the day's ceilings goes back, and what was found out is told."""
        if self._poller is None:
            return
        self._poller.cancel()
        with suppress(asyncio.CancelledError):
            await self._poller
        self._poller = None
        with suppress(Unavailable, DBAPIError):  # lost with it: a few messages of today's ceiling
            async with self._database.begin() as conn:
                await write_holds(conn, self._news)
                for quota in self._quotas.values():
                    await give_back(conn, quota)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._look()
            except (Unavailable, DBAPIError) as error:
                log.warning("rates and holds of senders and domains cannot be read: %s", error)
            self._forget()
            now = time.monotonic()
            for domain in self._domains.values():
                domain.look(now)
            self._queues = {key: until for key, until in self._queues.items() if until > now}

    async def _look(self) -> None:
        news, self._news = self._news, {}
        try:
            async with self._database.begin() as conn:
                await write_holds(conn, news)
                self.limits = await load_limits(conn)
                self.workers = max(1, await live_workers(conn))
                held = {hold.name: hold for hold in await holds_now(conn)}
        except (Unavailable, DBAPIError):
            self._news = news | self._news
            raise
        released = self._held.keys() - held.keys() - self._news.keys()
        self._held = held
        for domain in self._domains.values():
            self._settle(domain)
        self._adopt(held.values(), released)

    def _settle(self, domain: Domain) -> None:
        """What was settled for it, this process's part of it."""
        connections = self.limits.connections_to(domain.name)
        domain.share = None if connections is None else math.ceil(connections / self.workers)
        settled = self.limits.domains.get(domain.name)
        if settled is None or settled.rate is None:
            domain.taps = ()
        else:
            domain.taps = tuple(self.tap(Kind.DOMAIN, domain.name, settled.rate, rank) for rank in Rank)

    def _adopt(self, held: Iterable[Hold], released: Iterable[str]) -> None:
        """What other workers found out."""
        for hold in held:
            if hold.name in self._domains and hold.name not in self._news:
                self._heed(self._domains[hold.name], hold)
        for name in released:
            if name in self._domains and self._domains[name].level:
                self._domains[name].release()

    def _heed(self, domain: Domain, hold: Hold) -> None:
        until = time.monotonic() + (hold.until - utc_now()).total_seconds()
        if hold.level > domain.level or (hold.level == domain.level and until > domain.held_until + 1.0):
            domain.hold(until, hold.level, hold.answer)

    def _forget(self) -> None:
        if len(self._domains) > KNOWN:
            self._domains = {name: domain for name, domain in self._domains.items() if not domain.idle}

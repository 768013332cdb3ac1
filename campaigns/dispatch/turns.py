"""Whose turn it is: the messages of one batch, handed out as the rates, the sender's day and the recipients' domains
allow.

Domains take turns. One that is held back, busy or at its rate is passed over, so that the others do not wait for it;
what cannot go soon goes back into the queue and makes room for other batches.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from campaigns.dispatch.buckets import Kind, Tap
from campaigns.dispatch.domains import Domain
from campaigns.dispatch.quota import Quota
from campaigns.dispatch.traffic import AWAY, Traffic
from campaigns.dispatch.underway import Underway
from campaigns.dispatch.work import Run
from campaigns.sending.congestion import asks_for_a_pause
from campaigns.sending.limits import sender_names
from campaigns.sending.providers import domain_of
from channels.contract import ChannelError
from runtime.clock import utc_now
from tracking.ledger import Due, MessageKey

LONGEST = 30.0  # seconds that a batch which has to wait may keep a worker's place
STUCK = 1.0  # seconds; who will wait longer than that needs a place among those who wait
BRIEFLY = 5.0  # seconds for which a batch leaves where nobody can tell when there will be room
SPREAD = 0.1  # share of a pause over which the messages of a held domain come back


@dataclass(eq=False, slots=True)
class Lane:
    """The messages of a batch to one domain."""

    domain: Domain
    messages: deque[Due]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What the next message waits for: `seconds` at most, `speed` messages a second get past it.

    `key` is the same for all that wait for the same, None where this process has its hands full. `away`: seconds after
    which those who left look again, at the latest.
    """

    key: Hashable | None
    seconds: float
    speed: float
    away: float = AWAY


class Turns:
    """The due messages of one batch, each handed out once, to whichever connection asks next.

    `lines`: connections of this process; `over`: whether nothing may go any more, or `later` is set. Whoever got a
    message says what became of it: `answered`, or `released` where it was not handed over after all.
    """

    def __init__(self, traffic: Traffic, run: Run, due: Sequence[Due], lines: int, over: Callable[[], bool]) -> None:
        self.later: float | None = None  # seconds until the rest may go on, once the batch has to make room
        self.note: str | None = None  # why, where people should know
        self.held: list[tuple[MessageKey, datetime]] = []  # messages to put off: their domain wants a pause
        self._traffic = traffic
        self._run = run
        self._due = due
        self._lines = lines
        self._over = over
        self._lanes: deque[Lane] = deque()
        self._underway = Underway()
        self._taps: tuple[Tap, ...] = ()
        self._quotas: tuple[Quota, ...] = ()
        self._turn = asyncio.Lock()
        self._begun = False
        self._deadline = 0.0
        self._went_at = 0.0

    async def next(self) -> Due | None:
        """The next message; None where there is nothing more to be had. Raises Unavailable or DBAPIError where the
        database is away."""
        if (message := self.pick()) is not None:
            return message
        async with self._turn:
            if not self._begun:
                await self._begin()
            while not self._over() and (message := self.pick()) is None and self._lanes:
                await self._make_way()
            return message

    def pick(self, behind: Due | None = None) -> Due | None:
        """A message that can go at this very moment. `behind`: the message that is under way on the connection which it
        is for."""
        now = time.monotonic()
        for tap in self._taps:
            if not tap.ready(now):
                return None
        for quota in self._quotas:
            if not quota.open:
                return None
        for _ in range(len(self._lanes)):
            lane = self._lanes[0]
            domain = lane.domain
            if domain.held_until > now:
                self._put_off(self._lanes.popleft(), now)
                continue
            own = domain.taps[self._run.rank] if domain.taps else None
            if domain.room(self._traffic.crossing == 1) and (own is None or own.ready(now)):
                message = self._take(lane, own, now)
                self._underway.start(message, domain, now)
                self._lanes.rotate(-1)
                return message
            self._lanes.rotate(-1)
        return None if behind is None else self._pick_behind(behind, now)

    def answered(self, message: Due, error: ChannelError | None) -> None:
        """Called once for each message whose answer came: `error` None, it was taken over."""
        domain = self._return(message)
        if domain is None:
            return
        now = time.monotonic()
        if error is None:
            if domain.accepted(now):
                self._traffic.note(domain, held=False)
        elif asks_for_a_pause(error):
            if domain.refused(error, now, self._traffic.rng):
                self._traffic.note(domain, held=True)
        elif error.code is not None:
            domain.answered_at = now

    def released(self, message: Due) -> None:
        """It was not handed over: skipped, or taken back at the last moment."""
        if self._return(message) is not None:
            for quota in self._quotas:
                quota.left += 1

    def close(self) -> None:
        """The batch is over, whatever became of it."""
        self._underway.clear()
        while self._lanes:
            self._leave(self._lanes.popleft())
        self._traffic.waiting.pop(self, None)
        self._traffic.wake()
        self._over = _ended  # it had hold of the whole batch, which is let go without waiting for the collector

    async def _begin(self) -> None:
        """Sort the messages by domain, and see what their sender must keep to."""
        await self._traffic.current()
        by_domain: dict[str, deque[Due]] = {}
        for message in self._due:
            by_domain.setdefault(domain_of(message.address), deque()).append(message)
        for name, messages in by_domain.items():
            lane = Lane(self._traffic.domain(name, self._lines), messages)
            self._traffic.crossing += lane.domain.lanes == 0
            lane.domain.lanes += 1
            self._lanes.append(lane)
        self._settle()
        self._begun = True
        self._went_at = time.monotonic()
        self._deadline = self._went_at + LONGEST

    def _settle(self) -> None:
        """The buckets and days that every message of this run takes from; again whenever it has to wait, since limits
        change meanwhile."""
        run, traffic = self._run, self._traffic
        rates = [(Kind.CAMPAIGN, str(run.campaign_id), run.options.rate_per_second)]
        rates += [(Kind.SENDER, limit.name, limit.rate) for limit in traffic.limits.of_sender(run.sender)]
        self._taps = tuple(traffic.tap(kind, name, rate, run.rank) for kind, name, rate in rates if rate is not None)
        quotas = (traffic.quota(name) for name in sender_names(run.sender))
        self._quotas = tuple(quota for quota in quotas if quota is not None)

    def _pick_behind(self, before: Due, now: float) -> Due | None:
        """A message to the same domain as the one before it on its connection: no connection more is needed."""
        domain = self._underway.domain_to_follow(before)
        lane = next((lane for lane in self._lanes if lane.domain is domain), None)
        if lane is None or lane.domain.level:
            return None
        tap = lane.domain.taps[self._run.rank] if lane.domain.taps else None
        if tap is not None and not tap.ready(now):
            return None
        message = self._take(lane, tap, now)
        self._underway.follow(message, before)
        return message

    def _take(self, lane: Lane, tap: Tap | None, now: float) -> Due:
        """The lane's next message, paid for."""
        self._went_at = now
        for each in self._taps:
            each.take()
        for quota in self._quotas:
            quota.take()
        if tap is not None:
            tap.take()
        message = lane.messages.popleft()
        if not lane.messages:
            self._lanes.remove(lane)
            self._leave(lane)
        return message

    def _put_off(self, lane: Lane, now: float) -> None:
        """Its domain wants a pause: these messages come back after it, not all at once."""
        pause = lane.domain.held_until - now
        wall, rng = utc_now(), self._traffic.rng
        for message in lane.messages:
            self.held.append((message.key, wall + timedelta(seconds=pause * rng.uniform(1.0, 1.0 + SPREAD))))
        self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        lane.domain.lanes -= 1
        self._traffic.crossing -= lane.domain.lanes == 0

    def _return(self, message: Due) -> Domain | None:
        domain = self._underway.end(message)
        if domain is not None:
            self._traffic.wake()
        return domain

    async def _make_way(self) -> None:
        """Nothing can go now: get what it takes, wait for it a little, or leave the place to others (`later`)."""
        self._settle()
        left = sum(len(lane.messages) for lane in self._lanes)
        for quota in self._quotas:
            if not quota.open:
                await self._traffic.draw(quota, left)
                if quota.spent:
                    self._wait_for_tomorrow(quota)
                return
        now = time.monotonic()
        empty = next((tap for tap in self._taps if tap.waits(now) is None), None)
        if empty is not None:
            await self._traffic.fill(empty, left)
            return
        obstacle = self._own_obstacle(now) or await self._domains_obstacle(now)
        if obstacle is None:
            return
        if now > self._deadline:
            self.later = 0.0  # to be loaded anew, and for others to have their turn
        elif self._may_wait(obstacle, left, now):
            await self._traffic.something(min(obstacle.seconds, STUCK))
        else:
            self.later = self._traffic.queue_up(obstacle.key, left, obstacle.speed, obstacle.away)

    def _own_obstacle(self, now: float) -> Obstacle | None:
        """The slowest of the run's own buckets, where one is not ready."""
        waits = [(tap.waits(now) or 0.0, tap) for tap in self._taps]
        seconds, tap = max(waits, key=lambda found: found[0], default=(0.0, None))
        return None if tap is None or seconds == 0.0 else Obstacle((tap.kind, tap.name), seconds, tap.rate)

    async def _domains_obstacle(self, now: float) -> Obstacle | None:
        """What the first of the domains waits for that is likely to be free; None where that has changed meanwhile."""
        found: list[Obstacle] = []
        for lane in self._lanes:
            domain = lane.domain
            if domain.held_until > now:
                return None
            if not domain.room(self._traffic.crossing == 1):
                key = (Kind.DOMAIN, domain.name) if domain.limited else None
                found.append(Obstacle(key, STUCK, max(domain.speed, 1.0), BRIEFLY))
                continue
            tap = domain.taps[self._run.rank] if domain.taps else None
            seconds = None if tap is None else tap.waits(now)
            if tap is None or seconds == 0.0:
                return None
            if seconds is None:
                await self._traffic.fill(tap, len(lane.messages))
                return None
            found.append(Obstacle((Kind.DOMAIN, domain.name), seconds, tap.rate))
        return min(found, key=lambda obstacle: obstacle.seconds, default=None)

    def _may_wait(self, obstacle: Obstacle, left: int, now: float) -> bool:
        """A short wait is always all right. For a long one there are few places: one for each campaign and obstacle,
        so that batches which could go on find room."""
        if obstacle.key is None or (now - self._went_at < STUCK and left / obstacle.speed < STUCK):
            return True
        return self._traffic.may_wait(self, (self._run.campaign_id, obstacle.key))

    def _wait_for_tomorrow(self, quota: Quota) -> None:
        zone = ZoneInfo(self._traffic.timezone)
        now = utc_now().astimezone(zone)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), zone)
        self.later = (tomorrow - now).total_seconds() + self._traffic.rng.uniform(1.0, 60.0)
        ceiling = quota.ceiling
        self.note = f"{quota.name} is being warmed up: today's {ceiling} messages are sent, the rest goes on tomorrow"


def _ended() -> bool:
    return True

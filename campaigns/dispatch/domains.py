"""How one recipient domain is doing as this process sees it: how many messages are under way there, how many may be,
and whether it wants to be left alone. Pure; `now` is the monotonic clock."""

from __future__ import annotations

import random
from dataclasses import dataclass

from campaigns.dispatch.buckets import Tap
from campaigns.sending.congestion import PATIENCE, pause_of
from channels.contract import ChannelError

PROBES = 1  # messages at once to a domain that has just been left alone for a time
STALLED = 3.0  # seconds without an answer after which a domain gets less and less


@dataclass(eq=False, slots=True)
class Domain:
    """`lines`: connections of this process; `share`: those that may hand over here, by what was settled (None: all).

    `taps`: its rate's, one for each rank, where it has a rate. `window` grows with every answer: a domain that does not
    answer cannot take all connections before anybody knows; `cut`: it had to shrink. `lanes`: batches that
    have messages for it. `level`: pauses in a row; `said`: the answer that led to the last.
    """

    name: str
    lines: int
    share: int | None = None
    taps: tuple[Tap, ...] = ()
    out: int = 0
    window: int = 0
    cut: bool = False
    lanes: int = 0
    answers: int = 0
    speed: float = 0.0  # messages taken over a second, lately
    answered_at: float = 0.0
    refusals: int = 0
    level: int = 0
    held_until: float = 0.0
    said: str = ""

    def __post_init__(self) -> None:
        self.window = self.first_window

    @property
    def first_window(self) -> int:
        return max(2, self.lines // 8)

    def room(self, alone: bool) -> bool:
        """Whether one more message may be under way; unless it is `alone`, some connections are kept for others."""
        if self.share is not None and self.out >= self.share:
            return False
        most = self.window if alone else min(self.window, max(1, self.lines * 9 // 10))
        return self.out < most or (alone and self.window >= self.lines)

    @property
    def limited(self) -> bool:
        """Whether it is this domain that has no room, and not this process that is busy."""
        return (self.cut and self.window < self.lines) or (self.share is not None and self.out >= self.share)

    def accepted(self, now: float) -> bool:
        """A message was taken over. Whether this ends a time of trouble."""
        self.answers += 1
        self.answered_at = now
        self.refusals = 0
        if self.window < self.lines:
            self.window += 1
        else:
            self.cut = False
        if self.level and self.window >= self.first_window and self.held_until <= now:
            self.level = 0
            return True
        return False

    def refused(self, error: ChannelError, now: float, rng: random.Random) -> bool:
        """The domain asked for a pause. Whether it gets one from now on."""
        self.answered_at = now
        self.refusals += 1
        self._shrink(self.window // 2)
        if self.held_until > now or (self.refusals < PATIENCE and self.level == 0):
            return False
        self.level += 1
        self.hold(now + pause_of(self.level, error.retry_after, rng), self.level, error.text)
        return True

    def hold(self, until: float, level: int, said: str) -> None:
        """Nothing goes there before `until`, and then few at first."""
        self.held_until, self.level, self.said = until, level, said
        self.refusals = 0
        self._shrink(PROBES)

    def release(self) -> None:
        """Somebody who knows better says that it takes messages again."""
        self.held_until, self.level, self.refusals = 0.0, 0, 0
        self.window, self.cut = self.first_window, False

    def look(self, now: float) -> None:
        """Called once a second: who has not answered for long while messages are under way gets fewer."""
        self.speed += (self.answers - self.speed) / 4
        self.answers = 0
        if self.out and now - self.answered_at > STALLED:
            self._shrink(self.window // 2)

    @property
    def idle(self) -> bool:
        return self.out == 0 and self.lanes == 0 and self.level == 0 and self.refusals == 0

    def _shrink(self, window: int) -> None:
        self.window, self.cut = max(1, window), True

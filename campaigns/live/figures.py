"""What there is to see of a campaign under way, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from campaigns.states import RunState, State

OTHERS = "*"  # stands for all domains but the largest


@dataclass(frozen=True)
class RunHead:
    """A run in view. `note`: what people should know meanwhile."""

    id: int
    state: RunState
    occurrence: datetime
    frozen_at: datetime | None
    note: str | None
    error: str | None


@dataclass(frozen=True)
class Head:
    """A campaign and the runs in view: those that live, else the last one."""

    id: int
    name: str
    channel: str
    state: State
    pause_reason: str | None
    alarm: str | None
    next_at: datetime | None
    runs: Sequence[RunHead]


@dataclass(frozen=True)
class Warned:
    """A campaign that was paused by itself, or one that soon may be; and why."""

    id: int
    name: str
    state: State
    reason: str


@dataclass(frozen=True)
class Waiting:
    """`n` queued messages whose time has not come; `first` and `last` of those times."""

    n: int = 0
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class DomainLine:
    """How a recipient domain (OTHERS: the rest) is doing. `sent` includes bounced. `held_until`: nothing goes there
    before, since it asked for a pause. `answer`: the last one of its server in the last minutes."""

    domain: str
    queued: int
    sent: int
    failed: int
    bounced: int
    waiting: Waiting
    held_until: datetime | None
    answer: str | None


@dataclass(frozen=True)
class Obstacles:
    """What keeps messages back besides their own time. `rests`: by run the time at which its next batch is taken up,
    where none is under way or due; `held`: by main domain until when it wants none."""

    rests: Mapping[int, datetime] = field(default_factory=dict)
    held: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """`n` messages now stand at `state` with this answer; `text` without what differs among them, one `example` in
    full, the `domains` that it came from, the most frequent first."""

    state: str
    text: str
    n: int
    example: str
    domains: Sequence[str]


class Outlook(StrEnum):
    DONE = "done"
    STOPPED = "stopped"  # paused: nothing can be said
    SOON = "soon"  # it goes out, and there is no rate yet
    FINISH = "finish"  # at the present rate it is done at `at`
    HELD = "held"  # at `at`, for some wait for their time until then
    DUE = "due"  # nothing is due now; it goes on at `at`


@dataclass(frozen=True)
class Forecast:
    outlook: Outlook
    at: datetime | None = None


@dataclass(frozen=True)
class Picture:
    """A campaign as of `at`. `counts`: those of API.md over the runs in view. `rate`: messages a second now, `average`
    since the runs began; None where there is none. `spark`: messages handled in each STEP of the last minutes."""

    head: Head
    at: datetime
    counts: Mapping[str, int]
    rate: float | None
    average: float | None
    spark: Sequence[int]
    waiting: Waiting
    domains: Sequence[DomainLine]
    answers: Sequence[Answer]
    forecast: Forecast

    @property
    def handled(self) -> int:
        """All about which nothing is left to do."""
        return self.counts["audience"] - self.counts["queued"] - self.counts["sending"]

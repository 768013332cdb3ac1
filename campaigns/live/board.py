"""A campaign's figures in memory: exact counts, and what was committed since.

A tally says where messages came to, not from where: from the first state before it in which there are any. What that
gets wrong (a late answer while others are still queued) is put right by the next base.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from campaigns.live.base import MARKS, AnswerRow, Base, together
from campaigns.live.figures import OTHERS, DomainLine, Head, Obstacles, Picture, Waiting
from campaigns.live.forecast import forecast
from campaigns.live.grouping import WORDS, Grouping
from campaigns.sending.providers import main_domain
from campaigns.states import State as CampaignState
from tracking.states import ARRIVED, NEXT, State
from tracking.tallies import Lately, Tally

STEP = 5  # seconds of one point of the line
POINTS = 60
SPAN = timedelta(seconds=STEP * POINTS)
RATE_SECONDS = 10
NONE = Obstacles()
_BEFORE = {state: [before for before in State if state in NEXT[before]] for state in State}


class Board:
    """See `picture`. `rebase` first."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._known: frozenset[str] = frozenset()
        self._marks: Mapping[str, int] = {}
        self._waiting: Mapping[str, Waiting] = {}
        self._answers = Grouping()
        self._last: dict[str, str] = {}  # domain → the last answer
        self._handled: Counter[int] = Counter()  # second → messages

    def rebase(self, base: Base) -> None:
        """Begin anew from exact counts; what was seen lately stays."""
        self._counts = Counter(base.counts)
        self._known = frozenset(domain for domain, _state in base.counts)
        self._marks = base.marks
        self._waiting = base.waiting
        self._answers = Grouping(base.answers)

    def remember(self, lately: Lately) -> None:
        """What happened before anybody watched; after the first base."""
        self._handled = Counter(lately.handled)
        for domain, answer in lately.answers.items():
            self._last.setdefault(self._domain(domain), answer[:WORDS])

    def add(self, tallies: Iterable[Tally]) -> None:
        """What was committed since the base, or since the last call."""
        for tally in tallies:
            domain = self._domain(tally.domain)
            if tally.last and tally.state != State.SKIPPED:
                self._last[domain] = tally.last[:WORDS]
            if tally.answer:
                self._answers.add(AnswerRow(tally.state, tally.answer, tally.domain, tally.n, tally.last))
            if tally.state != State.QUEUED:
                self._leave(domain, State(tally.state), tally.n)
                self._counts[domain, tally.state] += tally.n
                self._handled[int(tally.at.timestamp())] += tally.n

    def picture(self, head: Head, now: datetime, obstacles: Obstacles = NONE) -> Picture:
        """All that is known, as of `now` (by the database's clock, as the tallies')."""
        rests = [obstacles.rests[run.id] for run in head.runs if run.id in obstacles.rests]
        at_rest = min(rests) if rests and len(rests) == len(head.runs) else None
        counts = self._numbers()
        rate = self._rate(now) if head.state is CampaignState.SENDING else None
        waiting = together(one for one in self._waiting.values() if one.last is not None and one.last > now)
        left = counts["queued"] + counts["sending"]
        return Picture(
            head,
            now,
            counts,
            rate,
            self._average(head, counts, now),
            self._spark(now),
            waiting,
            self._domains(obstacles.held),
            self._answers.listed(),
            forecast(head.state, left, waiting, rate, now, at_rest),
        )

    def _leave(self, domain: str, reached: State, n: int) -> None:
        """Take `n` from the states out of which `reached` is a move; what none of them has was queued."""
        for state in _BEFORE[reached]:
            taken = min(n, max(self._counts[domain, state], 0))
            self._counts[domain, state] -= taken
            n -= taken
        self._counts[domain, State.QUEUED] -= n

    def _domain(self, domain: str) -> str:
        """As the base counts it: by itself, or among the others."""
        return domain if domain in self._known or OTHERS not in self._known else OTHERS

    def _numbers(self) -> dict[str, int]:
        numbers = {str(state): 0 for state in State} | {"audience": 0}
        for (_domain, state), n in self._counts.items():
            numbers[state] += max(n, 0)
            numbers["audience"] += max(n, 0)
            if state in ARRIVED and state != State.SENT:
                numbers[State.SENT] += n
        return numbers | {mark: self._marks.get(mark, 0) for mark in MARKS}

    def _rate(self, now: datetime) -> float | None:
        """Over the last whole seconds; of one that has just begun over those there are."""
        if not self._handled:
            return None
        last = int(now.timestamp())
        seconds = max(1, min(RATE_SECONDS, last - min(self._handled)))
        return sum(self._handled[last - second] for second in range(1, seconds + 1)) / seconds

    def _average(self, head: Head, counts: Mapping[str, int], now: datetime) -> float | None:
        """Of the messages that were tried, since the first of the runs began."""
        began = min((run.frozen_at for run in head.runs if run.frozen_at is not None), default=None)
        tried = counts["sent"] + counts["failed"] + counts["unknown"]
        if began is None or not tried or now <= began:
            return None
        return tried / max(1.0, (now - began).total_seconds())

    def _spark(self, now: datetime) -> list[int]:
        """The oldest first; the step that has just begun is left out."""
        end = int(now.timestamp()) // STEP * STEP
        for second in [second for second in self._handled if second < end - STEP * POINTS]:
            del self._handled[second]
        starts = range(end - POINTS * STEP, end, STEP)
        return [sum(self._handled[start + second] for second in range(STEP)) for start in starts]

    def _domains(self, held: Mapping[str, datetime]) -> list[DomainLine]:
        """The largest first, the others last."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for (domain, state), n in self._counts.items():
            if domain and state != State.SKIPPED and n > 0:
                found[domain][state] += n
        order = sorted(found, key=lambda domain: (domain == OTHERS, -found[domain].total(), domain))
        return [self._line(domain, found[domain], held.get(main_domain(domain))) for domain in order]

    def _line(self, domain: str, counts: Counter[str], held_until: datetime | None) -> DomainLine:
        sent = sum(counts[state] for state in ARRIVED)
        return DomainLine(
            domain,
            counts[State.QUEUED] + counts[State.SENDING],
            sent,
            counts[State.FAILED] + counts[State.UNKNOWN],
            counts[State.BOUNCED],
            self._waiting.get(domain, Waiting()),
            held_until,
            self._last.get(domain),
        )

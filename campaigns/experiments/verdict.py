"""From the numbers of the variants to the decision; pure.

Each two variants are compared, the p-values adjusted by Holm's method, and the leader has won where it differs from
every other at the significance asked for. What is too little to tell decides nothing: then the fallback does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from campaigns.experiments.plan import Experiment
from campaigns.experiments.statistics import Interval, Share, Sums, holm, mean, means_differ, shares_differ, wilson

FEWEST_BUYERS = 10  # of two variants together; less says nothing about revenue, whatever the sums


class How(StrEnum):
    """What a decision rests on."""

    SIGNIFICANT = "significant"
    FIRST = "first"  # undecided: the first variant
    LEADING = "leading"  # undecided: the leading one
    BY_HAND = "by_hand"
    STOPPED = "stopped"  # the rest gets nothing
    CANCELLED = "cancelled"  # with its campaign


@dataclass(frozen=True)
class Tally:
    """What came of one variant: messages that were sent, and of those opened and clicked by people; orders that its
    clicks led to, with the people who bought, the revenue and the sum of the squares of each person's revenue."""

    sent: int = 0
    opened: int = 0
    clicked: int = 0
    orders: int = 0
    buyers: int = 0
    revenue: float = 0.0
    squares: float = 0.0

    @property
    def spent(self) -> Sums:
        """Revenue per recipient."""
        return Sums(self.sent, self.revenue, self.squares)

    def share(self, winner: str) -> Share:
        return Share(self.clicked if winner == "clicks" else self.opened, self.sent)

    def result(self, winner: str, level: float) -> Interval:
        """By what the experiment goes by: a rate, or the revenue per recipient; with its interval."""
        return mean(self.spent, level) if winner == "revenue" else wilson(self.share(winner), level)


@dataclass(frozen=True)
class Verdict:
    """`winner`: what the rest gets. `leader`: whose result is best, None where nobody's is. `p`: how likely so large a
    lead over the others is by chance alone; None where too little is known to say."""

    winner: int
    how: How
    leader: int | None
    p: float | None


def judge(experiment: Experiment, tallies: Sequence[Tally]) -> Verdict:
    """One tally a variant, in their order."""
    results = [tally.result(experiment.winner, 0.95).value for tally in tallies]
    best = max(results)
    leader = results.index(best) if best > min(results) else None
    p = None if leader is None else _chance(experiment, tallies, leader)
    if leader is not None and p is not None and p <= 1 - experiment.significance / 100 + 1e-12:
        return Verdict(leader, How.SIGNIFICANT, leader, p)
    if experiment.fallback == "leading" and leader is not None:
        return Verdict(leader, How.LEADING, leader, p)
    return Verdict(0, How.FIRST, leader, p)


def _chance(experiment: Experiment, tallies: Sequence[Tally], leader: int) -> float | None:
    """The largest adjusted p-value of the leader against another; None where one of these says nothing."""
    pairs = list(combinations(range(len(tallies)), 2))
    found: Mapping[tuple[int, int], float | None] = {
        (one, other): _p_value(experiment.winner, tallies[one], tallies[other]) for one, other in pairs
    }
    if any(p is None for pair, p in found.items() if leader in pair):
        return None
    adjusted = holm([1.0 if (p := found[pair]) is None else p for pair in pairs])
    return max(p for pair, p in zip(pairs, adjusted, strict=True) if leader in pair)


def _p_value(winner: str, one: Tally, other: Tally) -> float | None:
    if min(one.sent, other.sent) < 2:
        return None
    if winner != "revenue":
        return shares_differ(one.share(winner), other.share(winner))
    return means_differ(one.spent, other.spent) if one.buyers + other.buyers >= FEWEST_BUYERS else None

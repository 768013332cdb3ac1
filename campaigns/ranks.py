"""Who goes first: what somebody waits for, then journeys, then campaigns, in the queue and for slots of a rate; and
fair turns among those of one rank. Pure."""

from __future__ import annotations

from enum import IntEnum

TURNS = 700_000_000  # of one rank: more batches than a queue ever holds, and all ranks fit into the queue's numbers


class Rank(IntEnum):
    """Of a run. Only campaigns exist as yet."""

    CAMPAIGN = 0
    JOURNEY = 1
    TRANSACTIONAL = 2


def priority(rank: Rank, turn: int) -> int:
    """The queue's priority of a batch whose turn it is `turn`-th (from 0); the highest goes first. All turns of a rank
    come before those of the lower ones; campaigns stay below 0, where everything else begins."""
    return rank * TURNS - 1 - min(turn, TURNS - 1)


def turn_of(priority: int, rank: Rank) -> int:
    """The turn that a priority stands for; what was queued before there were turns comes first."""
    return min(max(0, rank * TURNS - 1 - priority), TURNS - 1)

"""What can become of a message: its states and the written table of moves between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"  # handed over, not answered yet; only where the channel never re-sends in doubt
    SENT = "sent"  # the other side took it over
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    FAILED = "failed"  # refused or given up: it never left
    SKIPPED = "skipped"  # must not or cannot be contacted; the reason says why
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # the answer never came


# To stay is never a move, except `queued → queued`: put off with a new `not_before`. A cancelled message may still
# turn out to be sent: its final dot was under way when the campaign was cancelled, and the ledger tells what
# happened. A report may come before the sender's own answer is written, or when that never came: what bounced has left.
NEXT: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset(
        {
            State.QUEUED,
            State.SENDING,
            State.SENT,
            State.FAILED,
            State.SKIPPED,
            State.CANCELLED,
            State.UNKNOWN,
            State.DELIVERED,
            State.BOUNCED,
        }
    ),
    State.SENDING: frozenset(
        {
            State.QUEUED,
            State.SENT,
            State.FAILED,
            State.SKIPPED,
            State.CANCELLED,
            State.UNKNOWN,
            State.DELIVERED,
            State.BOUNCED,
        }
    ),
    State.SENT: frozenset({State.DELIVERED, State.BOUNCED}),
    State.DELIVERED: frozenset({State.BOUNCED}),  # late bounces exist
    State.BOUNCED: frozenset(),
    State.FAILED: frozenset(),
    State.SKIPPED: frozenset(),
    State.CANCELLED: frozenset({State.SENT, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.QUEUED, State.SENT, State.FAILED, State.DELIVERED, State.BOUNCED}),
}

ARRIVED = frozenset({State.SENT, State.DELIVERED, State.BOUNCED})  # "sent" as people count it: it left the house
OPEN = frozenset({State.QUEUED, State.SENDING})  # a run with such a message is not finished


def moves() -> list[str]:
    """The table as `current>target` words, the form in which statements ask it."""
    return sorted(f"{current}>{target}" for current, targets in NEXT.items() for target in targets)

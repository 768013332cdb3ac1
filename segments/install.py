"""What this room tells the others: its jobs."""

from __future__ import annotations

from segments import matching

JOBS = (matching.match_audience, matching.match_audience_again)


def install() -> None:
    """Importing the module above declares its job; may run twice."""

"""What this room tells the others: its jobs, and its part of the timeline."""

from __future__ import annotations

from segments import matching, refresh
from segments.entries import contribute_segments

JOBS = (matching.match_audience, matching.match_audience_again, refresh.refresh_segment, refresh.tidy_segments)


def install() -> None:
    """Importing the modules above declares their jobs and ticks; may run twice."""
    contribute_segments()

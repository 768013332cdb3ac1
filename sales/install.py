"""What this room tells the others: its part of the timeline; its ticks and jobs."""

from __future__ import annotations

from customers.timeline import contribute
from sales import due as _due  # noqa: F401 -- registers its ticks and jobs
from sales import months as _months  # noqa: F401 -- registers its tick and job
from sales.outcomes import timeline_entries


def install() -> None:
    """Register once a process; harmless when repeated."""
    contribute("follow_ups", timeline_entries, {"follow_up"})

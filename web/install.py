"""What this room declares for every process: the jobs that its workers run."""

from __future__ import annotations

from web import resets

JOBS = (resets.send_reset,)


def install() -> None:
    """Importing this module has declared the jobs."""

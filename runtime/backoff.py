"""When to try again: data, and a pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Backoff:
    """Doubling pauses from `base` up to `longest`; given up after `tries` failures (None: never)."""

    tries: int | None
    base: timedelta
    longest: timedelta = timedelta(hours=1)

    def next_at(self, tried: int, now: datetime) -> datetime | None:
        """When to try again after `tried` failures (at least 1), or None to give up."""
        if self.tries is not None and tried >= self.tries:
            return None
        pause = self.base.total_seconds() * 2.0 ** min(tried - 1, 60)
        return now + timedelta(seconds=min(pause, self.longest.total_seconds()))

"""Floods of forged tokens: so many a second are answered at once, the others after a while.

Whoever sends them waits then, and has no more connections than they have; who sends mail or reads it goes on.
"""

from __future__ import annotations

import time

AT_ONCE = 500  # answers a second in a process
WAIT = 0.5  # seconds


class Forgeries:
    """How many there were in the present second; one a process."""

    def __init__(self) -> None:
        self._second, self._count = 0, 0

    def wait(self, now: float | None = None) -> float:
        """One more came (at `now`, monotonic); seconds that its answer waits."""
        second = int(time.monotonic() if now is None else now)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return WAIT if self._count > AT_ONCE else 0.0


forgeries = Forgeries()

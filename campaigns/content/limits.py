"""What one message's templates may use: computing time, bytes, the size of any value on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

MAX_SECONDS = 1.0  # of computing: a process that is stopped or crowded out for a while fails nobody
MAX_OUTPUT = 1_000_000  # bytes of all parts of a message together
MAX_TEXT = 100_000  # characters of any value on the way


class LimitReached(ValueError):
    """A template asks for too much."""


@dataclass(slots=True)
class Budget:
    """What one message may still use, and the fields of `person` that it showed without a value (where somebody asks).
    `settled`: whether the lines of the part at hand are (settled.py).

    `begun` is of the thread's own clock, which is dear to read and so asked only once `look_at` has come on the cheap
    one.
    """

    begun: float
    look_at: float
    person: Mapping[str, Any] | None = None
    left: int = MAX_OUTPUT
    settled: bool = False
    missing: set[str] = field(default_factory=set)

    @classmethod
    def fresh(cls, person: Mapping[str, Any] | None = None) -> Budget:
        return cls(time.thread_time(), time.monotonic() + MAX_SECONDS, person)

    def check_time(self) -> None:
        if (now := time.monotonic()) > self.look_at:
            left = MAX_SECONDS - (time.thread_time() - self.begun)
            if left <= 0:
                raise LimitReached(f"the template takes longer than {MAX_SECONDS:g} s")
            self.look_at = now + left

    def spend(self, size: int) -> None:
        """Take `size` bytes of output."""
        self.left -= size
        if self.left < 0:
            raise LimitReached(f"the message is longer than {MAX_OUTPUT} bytes")
        if time.monotonic() > self.look_at:
            self.check_time()


current: ContextVar[Budget] = ContextVar("budget")
"""The budget of the message that is being rendered."""


def within_text_limit(size: int) -> None:
    """Raises LimitReached where a value of `size` characters would be too long."""
    if size > MAX_TEXT:
        raise LimitReached(f"a value in the template grows longer than {MAX_TEXT} characters")

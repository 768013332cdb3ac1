"""What one message's templates may use: computing time, bytes, the size of any value on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

MAX_SECONDS = 1.0  # of computing: a process that is stopped or crowded out for a while fails nobody
_FIRST_LOOK = 0.2  # after this share of the time
MAX_OUTPUT = 1_000_000  # bytes of all parts of a message together
MAX_TEXT = 100_000  # characters of any value on the way


class LimitReached(ValueError):
    """A template asks for too much."""


@dataclass(slots=True)
class Budget:
    """What one message may still use, and the fields of `person` that it showed without a value (where somebody asks).
    `settled`: whether the lines of the part at hand are (settled.py).

    The thread's own clock, on which `end` is, is dear to read: it is asked only once `look_at` has come on the cheap
    one, which hardly any message lives to see. Until then a message is taken to have computed all the time.
    """

    look_at: float
    person: Mapping[str, Any] | None = None
    left: int = MAX_OUTPUT
    settled: bool = False
    end: float | None = None
    missing: set[str] = field(default_factory=set)

    @classmethod
    def fresh(cls, person: Mapping[str, Any] | None = None) -> Budget:
        return cls(time.monotonic() + MAX_SECONDS * _FIRST_LOOK, person)

    def check(self) -> None:
        """Raises LimitReached where more was used than there is."""
        if self.left < 0:
            raise LimitReached(f"the message is longer than {MAX_OUTPUT} bytes")
        self.check_time()

    def check_time(self) -> None:
        if time.monotonic() <= self.look_at:
            return
        now = time.thread_time()
        if self.end is None:
            self.end = now + MAX_SECONDS * (1 - _FIRST_LOOK)
        if now >= self.end:
            raise LimitReached(f"the template takes longer than {MAX_SECONDS:g} s")
        self.look_at = time.monotonic() + self.end - now


current: ContextVar[Budget] = ContextVar("budget")
"""The budget of the message that is being rendered."""


def within_text_limit(size: int) -> None:
    """Raises LimitReached where a value of `size` characters would be too long."""
    if size > MAX_TEXT:
        raise LimitReached(f"a value in the template grows longer than {MAX_TEXT} characters")

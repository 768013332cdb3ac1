"""When and where a rule is evaluated, and how large it may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from runtime.settings import Settings


@dataclass(frozen=True)
class Limits:
    """`depth` of nested groups, and `conditions`, those in `where` included."""

    depth: int = 10
    conditions: int = 200


WRITTEN = Limits()
"""For a rule as a person writes it."""

EXPANDED = Limits(depth=100, conditions=2_000)
"""For a rule with all segments that it refers to written out."""


@dataclass(frozen=True)
class EvaluationContext:
    """`now` (aware) and the workspace's time zone, by which days and relative times are meant.

    `pattern_seconds`: how long a statement may take that holds a `matches`.
    """

    now: datetime
    timezone: str
    limits: Limits = WRITTEN
    pattern_seconds: float = 10.0

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def context_at(now: datetime, settings: Settings) -> EvaluationContext:
    """The context of an evaluation in this workspace."""
    return EvaluationContext(now, settings.timezone)

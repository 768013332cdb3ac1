"""A month of the workspace, by which salespeople are scored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from runtime.errors import Invalid, Problem

_NAME = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Period:
    """From `start` up to, not including, `end`; `name` as people write it: `2026-11`."""

    name: str
    start: datetime
    end: datetime


def read_period(name: str, zone: ZoneInfo) -> Period:
    """The month `2026-11` on the workspace's clock. Raises Invalid naming `period`."""
    found = _NAME.fullmatch(name)
    if found is None or not 1970 <= int(found[1]) <= 9000:
        raise Invalid(Problem("period", f"{name[:20]!r} is not a month like 2026-11"))
    year, month = int(found[1]), int(found[2])
    return Period(
        name, datetime(year, month, 1, tzinfo=zone), datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    )


def period_of(now: datetime, zone: ZoneInfo) -> Period:
    """The month that `now` falls in."""
    return read_period(f"{now.astimezone(zone):%Y-%m}", zone)

"""Quiet hours: when nobody wants to be disturbed, on the recipient's own clock. Pure; times come in.

The written rule: an instant is quiet where the recipient's clock then shows a time inside a window; a window holds its
beginning and not its end. What falls into quiet hours waits for the first instant that is not quiet. So daylight saving
needs no rule of its own: an hour that the clock shows twice is quiet twice, one that it leaves out is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

WEEK = frozenset(range(1, 8))
_DAY = timedelta(days=1)
_AHEAD = timedelta(days=16)  # a week has an open quarter of an hour, and a clock put forward may swallow that once
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Window:
    """From `begins` to `ends` on the clock; where `ends` is no later than `begins`, on the next day. `days`: ISO
    weekdays (1 Monday) on which it begins."""

    begins: time
    ends: time
    days: frozenset[int] = WEEK

    def covers(self, shown: datetime) -> bool:
        """Whether a clock that shows `shown` is inside."""
        moment, day = shown.time().replace(fold=0), shown.isoweekday()
        if self.begins < self.ends:
            return self.begins <= moment < self.ends and day in self.days
        yesterday = (day + 5) % 7 + 1
        return (moment >= self.begins and day in self.days) or (moment < self.ends and yesterday in self.days)

    def to_json(self) -> dict[str, Any]:
        days = {} if self.days == WEEK else {"days": sorted(self.days)}
        return {"from": f"{self.begins:%H:%M}", "to": f"{self.ends:%H:%M}", **days}


@dataclass(frozen=True)
class Stretch:
    """Until `ends`, it is quiet (then `quiet`) or not."""

    ends: datetime
    quiet: bool


def read_window(given: Any) -> Window:
    """`{"from": "20:00", "to": "08:00", "days"?: [1, …, 7]}`. Raises ValueError saying what is wrong."""
    if not isinstance(given, Mapping) or not {"from", "to"} <= set(given) <= {"from", "to", "days"}:
        raise ValueError('a window is an object like {"from": "20:00", "to": "08:00", "days": [1, 2, 3, 4, 5]}')
    days = given.get("days")
    if days is None:
        days = list(WEEK)
    if not isinstance(days, list) or not days or any(type(day) is not int or day not in WEEK for day in days):
        raise ValueError("days must be a list of weekdays, 1 for Monday to 7 for Sunday")
    return Window(_clock(given["from"]), _clock(given["to"]), frozenset(days))


def is_quiet(windows: Sequence[Window], at: datetime, zone: ZoneInfo) -> bool:
    """Whether `at` (aware) is quiet for somebody in `zone`."""
    shown = at.astimezone(zone)
    return any(window.covers(shown) for window in windows)


def stretch_at(windows: Sequence[Window], zone: ZoneInfo, at: datetime) -> Stretch:
    """Whether it is quiet in `zone` at `at`, and for how long that holds."""
    begins, ends = next(quiet_spans(windows, zone, at, at + _DAY), (at + _DAY, at + _DAY))
    return Stretch(ends, quiet=True) if begins <= at else Stretch(begins, quiet=False)


def quiet_spans(
    windows: Sequence[Window], zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The stretches `[from, to)` between `since` and `until` that are quiet in `zone`, in UTC, in order; one that
    is not over at `until` is followed to its end."""
    begun = None
    for moment in _turns(windows, zone, since, until + _AHEAD):
        quiet = is_quiet(windows, moment, zone)
        if begun is None and quiet:
            begun = moment
        elif begun is not None and not quiet:
            yield begun, moment
            begun = None
        if begun is None and moment >= until:
            return


def leaves_room(windows: Sequence[Window]) -> bool:
    """Whether some quarter of an hour of the week is open."""
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    quarters = (monday + timedelta(minutes=15 * number) for number in range(7 * 24 * 4))
    return any(not any(window.covers(shown) for window in windows) for shown in quarters)


def _turns(windows: Sequence[Window], zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """Instants from `since` on, in UTC and in order, among them every one at which quiet can begin or end."""
    faces = sorted({time(), *(one.begins for one in windows), *(one.ends for one in windows)})
    last = since.astimezone(UTC)
    yield last
    day = last.astimezone(zone).date() - _DAY
    while last < until:
        shown = (datetime.combine(day, face, zone).replace(fold=fold) for face in faces for fold in (0, 1))
        for moment in sorted({one.astimezone(UTC) for one in shown}):
            if moment > last:
                yield from _jump(zone, last, moment)
                yield moment
                last = moment
        day += _DAY


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> Iterator[datetime]:
    """The instant between the two at which the zone's clock is put forward or back, if any; to the second."""
    offset = before.astimezone(zone).utcoffset()
    if offset == after.astimezone(zone).utcoffset():
        return
    low, high = before.replace(microsecond=0), after
    while high - low > _SECOND:
        middle = low + (high - low) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    if high < after:
        yield high


def _clock(given: Any) -> time:
    if not isinstance(given, str) or len(given) != 5 or given[2] != ":":
        raise ValueError(f"{given!r} is not a time like 20:00")
    try:
        return time.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{given!r} is not a time like 20:00") from None

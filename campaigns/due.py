"""When a campaign is due: the forms of a schedule, and the times that follow from it. Pure; `now` comes in.

Daylight saving, the written rule (Debian cron's, by cronsim): a fixed time that falls into the gap is due at the first
instant after it; a time that exists twice is due the first time only. Schedules with `*` in hour or minute follow the
real clock instead and skip or repeat the hour with it.

Anchors (campaigns/anchors.py) are due every day at a local time; the day is that of the schedule's time zone. Those
that count hours are due every hour, at a minute (`*:00`).

Being late, the written rule: of the due times that lie behind, the latest is started once if it is at most the
campaign's `catch_up_hours` late; all others are missed, and shown. The days of an anchor concern other people each, so
every one of them that is at most that late is started.

Clocks that jump, the written rule: time is the database's. What was started or noted never comes again, so a clock put
back starts nothing twice; one put ahead makes late what it skipped, and that goes by the rule above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from campaigns.anchors import Anchor, read_anchor
from runtime.errors import Invalid, Problem

RECORDED_AT_MOST = 1_000  # missed due times that are noted one by one, the latest ones
NOTED_FOR = timedelta(days=30)
ON_TIME = timedelta(minutes=1)  # what is not later than this is not late
_EARLIEST, _LATEST = 1970, 2999  # years, so that all clocks of the world can show it
_CLOCK = re.compile(r"([01]\d|2[0-3]|\*):([0-5]\d)", re.ASCII)
_EVERY_HOUR = "*"
_FORMS = 'a schedule is null, {"at": …}, {"cron": …, "timezone": …} or {"anchor": …, "time": …, "timezone": …}'
_KEYS = ({"at"}, {"cron", "timezone"}, {"anchor", "time", "timezone"})


@dataclass(frozen=True)
class Schedule:
    """At once (all None), at one instant (`at`), repeatedly (`cron` in `timezone`), or by an `anchor`, for which `cron`
    is a time of every day."""

    at: datetime | None = None
    cron: str | None = None
    timezone: str | None = None
    anchor: Anchor | None = None

    def first(self, now: datetime) -> datetime | None:
        """The first due time after `now`; `now` itself for "at once"; None for an instant that has passed."""
        if self.cron is not None:
            return next_due(self.cron, str(self.timezone), now)
        if self.at is None:
            return now
        return self.at if self.at > now else None

    @property
    def time(self) -> str | None:
        """Of an anchor: the time of day, as 09:30; *:30 for every hour."""
        if self.anchor is None or self.cron is None:
            return None
        minute, hour = self.cron.split()[:2]
        return f"{hour if hour == _EVERY_HOUR else hour.zfill(2)}:{minute.zfill(2)}"

    def to_json(self) -> dict[str, Any] | None:
        if self.anchor is not None:
            return {"anchor": self.anchor.to_json(), "time": self.time, "timezone": self.timezone}
        if self.cron is not None:
            return {"cron": self.cron, "timezone": str(self.timezone)}
        return None if self.at is None else {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Reckoning:
    """What to do about a schedule whose time has come: the due times to `start` now, those `missed` for good, the
    `next` one."""

    start: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    next: datetime | None


def read_schedule(given: Any) -> Schedule:
    """A schedule as in API.md: null, {"at"}, {"cron", "timezone"} or {"anchor", "time", "timezone"}. Raises Invalid."""
    if given is None:
        return Schedule()
    if not isinstance(given, Mapping):
        raise Invalid(Problem("schedule", _FORMS))
    if set(given) == {"at"}:
        return Schedule(at=_instant(given["at"]))
    if set(given) == {"cron", "timezone"}:
        return _repeating(given["cron"], given["timezone"])
    if set(given) == {"anchor", "time", "timezone"}:
        return _anchored(given)
    strange = sorted(set(given) - set().union(*_KEYS))
    raise Invalid(Problem(f"schedule.{strange[0]}" if strange else "schedule", _FORMS))


def next_due(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first due time later than `after`, in UTC; None when none comes within 50 years."""
    return next(_due_times(cron, timezone, after), None)


def due_between(schedule: Schedule, low: datetime, high: datetime, limit: int) -> list[datetime]:
    """The due times from `low` on and before `high`, the first `limit` of them. Of "at once" there are none."""
    if schedule.cron is None:
        return [schedule.at] if schedule.at is not None and low <= schedule.at < high else []
    found: list[datetime] = []
    for moment in _due_times(schedule.cron, str(schedule.timezone), low - timedelta(microseconds=1)):
        if moment >= high or len(found) == limit:
            break
        found.append(moment)
    return found


def reckon(
    cron: str | None,
    timezone: str,
    due: datetime,
    now: datetime,
    catch_up: timedelta,
    *,
    lead: timedelta = timedelta(0),
    each: bool = False,
) -> Reckoning:
    """What follows when the time `due` has come and it is `now`, by the rule above; not later than ON_TIME is never too
    late. `lead`: runs start that much ahead of their due times, each that is still to come. `each`: as for the days of
    an anchor.

    What lies more than NOTED_FOR behind is not even noted as missed.
    """
    if cron is None:
        behind, coming = [due], None
    else:
        behind, coming = _walk(cron, timezone, due, now + lead)
    early = [moment for moment in behind if moment > now]
    on_time = [moment for moment in behind if timedelta(0) <= now - moment <= max(catch_up, ON_TIME)]
    start = [*(on_time if each else on_time[-1:]), *early]
    missed = [moment for moment in behind if moment not in start]
    return Reckoning(tuple(start), tuple(missed[-RECORDED_AT_MOST:]), coming)


def _walk(cron: str, timezone: str, due: datetime, now: datetime) -> tuple[list[datetime], datetime | None]:
    behind = [due]
    for moment in _due_times(cron, timezone, max(due, now - NOTED_FOR)):
        if moment > now:
            return behind, moment
        behind.append(moment)
        del behind[: -RECORDED_AT_MOST - 1]
    return behind, None


def _due_times(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Strictly rising. cronsim gives the first of two equal local times even when asked from between them."""
    last = after
    for moment in CronSim(cron, after.astimezone(ZoneInfo(timezone))):
        found = moment.astimezone(UTC)
        if found > last:
            last = found
            yield found


def _instant(given: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(given))
    except ValueError:
        raise Invalid(Problem("schedule.at", f"{given!r} is not a time like 2026-12-24T09:00:00+08:00")) from None
    if found.tzinfo is None:
        raise Invalid(Problem("schedule.at", f"{given!r} lacks its offset from UTC, like +08:00 or Z"))
    if not _EARLIEST <= found.year <= _LATEST:
        raise Invalid(Problem("schedule.at", f"{given!r} is not between the years {_EARLIEST} and {_LATEST}"))
    return found.astimezone(UTC)


def _repeating(cron: Any, timezone: Any) -> Schedule:
    zone = _zone(timezone)
    if not isinstance(cron, str) or len(cron.split()) != 5:
        raise Invalid(Problem("schedule.cron", "must have five fields: minute, hour, day of month, month, day of week"))
    try:
        CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise Invalid(Problem("schedule.cron", f"{cron!r}: {str(error).lower()}")) from None
    if next_due(cron, zone, datetime(2026, 1, 1, tzinfo=UTC)) is None:
        raise Invalid(Problem("schedule.cron", f"{cron!r} never comes due"))
    return Schedule(cron=cron, timezone=zone)


def _anchored(given: Mapping[str, Any]) -> Schedule:
    problems: list[Problem] = []
    clock = _CLOCK.fullmatch(given["time"]) if isinstance(given["time"], str) else None
    if clock is None:
        problems.append(Problem("schedule.time", f"{given['time']!r} is not a time of day like 09:30"))
    anchor, zone = None, ""
    try:
        zone = _zone(given["timezone"])
        anchor = read_anchor(given["anchor"])
    except Invalid as error:
        problems += error.problems
    if clock is not None and anchor is not None and anchor.hourly is not (clock[1] == _EVERY_HOUR):
        way = "hours are counted at every hour: write *:00" if anchor.hourly else "*:00 is for spans of hours alone"
        problems.append(Problem("schedule.time", way))
    if clock is None or problems:
        raise Invalid(problems)
    hour = _EVERY_HOUR if clock[1] == _EVERY_HOUR else str(int(clock[1]))
    return Schedule(cron=f"{int(clock[2])} {hour} * * *", timezone=zone, anchor=anchor)


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(Problem("schedule.timezone", f"{name!r} is not a zone like Asia/Shanghai")) from None

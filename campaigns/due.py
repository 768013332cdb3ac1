"""When a campaign is due: the forms of a schedule, and the times that follow from it. Pure; `now` comes in.

Daylight saving, the written rule (Debian cron's, by cronsim): a fixed time that falls into the gap is due at the first
instant after it; a time that exists twice is due the first time only. Schedules with `*` in hour or minute follow the
real clock instead and skip or repeat the hour with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from runtime.errors import Invalid, Problem

RECORDED_AT_MOST = 1_000  # missed due times that are noted one by one, the latest ones
NOTED_FOR = timedelta(days=30)
_SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True)
class Schedule:
    """At once (all None), at one instant (`at`), or repeatedly (`cron` in `timezone`)."""

    at: datetime | None = None
    cron: str | None = None
    timezone: str | None = None

    def first(self, now: datetime) -> datetime | None:
        """The first due time after `now`; `now` itself for "at once"; None for an instant that has passed."""
        if self.cron is not None:
            return next_due(self.cron, str(self.timezone), now)
        if self.at is None:
            return now
        return self.at if self.at > now else None

    def to_json(self) -> dict[str, str] | None:
        if self.cron is not None:
            return {"cron": self.cron, "timezone": str(self.timezone)}
        return None if self.at is None else {"at": self.at.isoformat()}


@dataclass(frozen=True)
class Reckoning:
    """What to do about a schedule whose time has come: `start` now (or None), `missed` for good, `next` due time."""

    start: datetime | None
    missed: tuple[datetime, ...]
    next: datetime | None


def read_schedule(given: Any) -> Schedule:
    """A schedule as in API.md: null, {"at"} or {"cron", "timezone"}. Raises Invalid naming the culprit."""
    if given is None:
        return Schedule()
    if not isinstance(given, Mapping):
        raise Invalid(Problem("schedule", 'must be null, {"at": …} or {"cron": …, "timezone": …}'))
    if set(given) == {"at"}:
        return Schedule(at=_instant(given["at"]))
    if set(given) == {"cron", "timezone"}:
        return _repeating(given["cron"], given["timezone"])
    strange = sorted(set(given) - {"at", "cron", "timezone"})
    culprit = f"schedule.{strange[0]}" if strange else "schedule"
    raise Invalid(Problem(culprit, 'a schedule is null, {"at": …} or {"cron": …, "timezone": …}'))


def next_due(cron: str, timezone: str, after: datetime) -> datetime | None:
    """The first due time later than `after`, in UTC; None when none comes within 50 years."""
    return next(_due_times(cron, timezone, after), None)


def reckon(cron: str | None, timezone: str, due: datetime, now: datetime, catch_up: timedelta) -> Reckoning:
    """What follows when the time `due` has come and it is `now`.

    Of the due times that lie behind, the latest is started once if it is at most `catch_up` late (one minute late is
    always on time); all others are missed. What lies more than NOTED_FOR behind is not even noted as missed.
    """
    if cron is None:
        behind, coming = [due], None
    else:
        behind, coming = _walk(cron, timezone, due, now)
    latest = behind[-1]
    on_time = now - latest <= max(catch_up, _SHORTEST)
    missed = behind[:-1] if on_time else behind
    return Reckoning(latest if on_time else None, tuple(missed[-RECORDED_AT_MOST:]), coming)


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
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise Invalid(Problem("schedule.at", f"{given!r} is beyond what a calendar holds")) from None


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


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(str(name)).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(Problem("schedule.timezone", f"{name!r} is not a zone like Asia/Shanghai")) from None

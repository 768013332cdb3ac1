"""The workspace's contact rules: how often, at what hours, and whom never. One row, read whenever they count."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import contact_rules
from campaigns.respect.periods import PERIODS, Period
from campaigns.respect.quiet import Window, leaves_room, read_window
from channels.registry import channels
from runtime.errors import Invalid, Problem

ALL = "all"
"""In place of a channel: over all of them together."""

MOST = 1_000
LONGEST_HOLD = 365
_ROW = 1
_COMMERCIAL_SMS = (read_window({"from": "20:00", "to": "08:00"}),)


@dataclass(frozen=True)
class Cap:
    """At most `most` messages a `period` to one person, over `channel` or over ALL."""

    channel: str
    period: Period
    most: int


@dataclass(frozen=True)
class ContactRules:
    """What counts for every campaign that does not ask to ignore it.

    `quiet_hours`: windows by channel, on the recipient's own clock. `holdout_percent`: share of customers that gets no
    campaign at all, for good. `service_hold_days`: for how long at most an open service case holds promotion back; 0:
    never.
    """

    caps: tuple[Cap, ...] = ()
    quiet_hours: Mapping[str, tuple[Window, ...]] = field(default_factory=lambda: {"sms": _COMMERCIAL_SMS})
    holdout_percent: float = 0.0
    service_hold_days: int = 60

    def caps_for(self, channel: str) -> tuple[Cap, ...]:
        """Those that a message over `channel` must keep."""
        return tuple(cap for cap in self.caps if cap.channel in (ALL, channel))

    def to_json(self) -> dict[str, Any]:
        caps: dict[str, dict[str, int]] = {}
        for cap in self.caps:
            caps.setdefault(cap.channel, {})[cap.period] = cap.most
        return {
            "frequency_caps": caps,
            "quiet_hours": {name: [one.to_json() for one in windows] for name, windows in self.quiet_hours.items()},
            "holdout_percent": self.holdout_percent,
            "service_hold_days": self.service_hold_days,
        }


DEFAULTS = ContactRules()


async def contact_rules_now(conn: AsyncConnection) -> ContactRules:
    """The rules as they stand."""
    row = (await conn.execute(select(contact_rules))).one_or_none()
    return DEFAULTS if row is None else _read(row._asdict())


async def save_contact_rules(conn: AsyncConnection, given: Any, *, by: str | None, now: datetime) -> ContactRules:
    """Put the rules in place of those that stand; what is not given takes its default. Raises Invalid by path."""
    rules = read_contact_rules(given)
    values = {**rules.to_json(), "updated_by": by, "updated_at": now}
    statement = insert(contact_rules).values(id=_ROW, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    return rules


def read_contact_rules(given: Any) -> ContactRules:
    """The rules of a request. Raises Invalid with a Problem for each culprit."""
    if not isinstance(given, Mapping):
        raise Invalid(Problem("", "must be an object"))
    defaults = DEFAULTS.to_json()
    problems = [
        Problem(str(name), f"unknown; there are: {', '.join(defaults)}") for name in given if name not in defaults
    ]
    whole = {**defaults, **given}
    problems += _cap_problems(whole["frequency_caps"])
    problems += _quiet_problems(whole["quiet_hours"])
    if not _is_number(whole["holdout_percent"]) or not 0 <= whole["holdout_percent"] <= 50:
        problems.append(Problem("holdout_percent", "must be a share in percent from 0 to 50"))
    if not _is_whole(whole["service_hold_days"], 0, LONGEST_HOLD):
        problems.append(Problem("service_hold_days", f"must be a number of days from 0 to {LONGEST_HOLD}"))
    if problems:
        raise Invalid(problems)
    return _read(whole)


def _read(stored: Mapping[str, Any]) -> ContactRules:
    return ContactRules(
        caps=tuple(
            Cap(channel, Period(period), most)
            for channel, by_period in sorted(stored["frequency_caps"].items())
            for period, most in sorted(by_period.items(), key=lambda item: PERIODS.index(Period(item[0])))
        ),
        quiet_hours={
            channel: tuple(read_window(one) for one in windows)
            for channel, windows in sorted(stored["quiet_hours"].items())
            if windows
        },
        holdout_percent=float(stored["holdout_percent"]),
        service_hold_days=stored["service_hold_days"],
    )


def known_channels() -> list[str]:
    """Those there are, and those that have rules of their own by default."""
    return sorted({channel.name for channel in channels()} | DEFAULTS.quiet_hours.keys())


def _cap_problems(given: Any) -> list[Problem]:
    names = [ALL, *known_channels()]
    if not isinstance(given, Mapping):
        return [Problem("frequency_caps", 'must be an object like {"all": {"week": 3}}')]
    problems = _strange("frequency_caps", given, names)
    for channel, by_period in given.items():
        path = f"frequency_caps.{channel}"
        if not isinstance(by_period, Mapping):
            problems.append(Problem(path, 'must be an object like {"day": 1, "week": 3, "month": 8}'))
            continue
        problems += _strange(path, by_period, PERIODS)
        problems += [
            Problem(f"{path}.{period}", f"must be a number of messages from 1 to {MOST}; leave it out for no cap")
            for period, most in by_period.items()
            if not _is_whole(most, 1, MOST)
        ]
    return problems


def _quiet_problems(given: Any) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem("quiet_hours", 'must be an object like {"sms": [{"from": "20:00", "to": "08:00"}]}')]
    problems = _strange("quiet_hours", given, known_channels())
    for channel, windows in given.items():
        path = f"quiet_hours.{channel}"
        if not isinstance(windows, list) or len(windows) > 20:
            problems.append(Problem(path, "must be a list of at most 20 windows"))
            continue
        found = []
        for place, window in enumerate(windows):
            try:
                found.append(read_window(window))
            except ValueError as error:
                problems.append(Problem(f"{path}[{place}]", str(error)))
        if len(found) == len(windows) and not leaves_room(found):
            problems.append(Problem(path, "leaves no hour of the week in which anything could be sent"))
    return problems


def _strange(path: str, given: Mapping[Any, Any], known: Collection[str]) -> list[Problem]:
    return [Problem(f"{path}.{name}", f"unknown; there are: {', '.join(known)}") for name in given if name not in known]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

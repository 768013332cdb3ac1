"""Warm-up plans: a new sender may write to few people a day at first, and to more every day. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from runtime.errors import Invalid, Problem

LARGEST = 100_000_000
MOST_DAYS = 366


@dataclass(frozen=True)
class WarmUp:
    """Ceilings of the days from `since` on (days of the workspace): those of `days`, or `first` growing by `factor`
    each day until `enough` is reached. Afterwards there is none."""

    since: date
    days: tuple[int, ...] = ()
    first: int = 0
    factor: float = 1.0
    enough: int = 0

    def ceiling(self, day: date) -> int | None:
        """How many messages may go on `day`; None: as many as there are. Before it begins, as on its first day."""
        passed = max(0, (day - self.since).days)
        if self.days:
            return self.days[passed] if passed < len(self.days) else None
        # Beyond this exponent every plan is over; a float would overflow.
        grown = self.first * self.factor ** min(passed, _steps(self.first, self.factor, self.enough))
        return int(grown) if grown < self.enough else None

    def to_json(self) -> dict[str, Any]:
        since = {"since": self.since.isoformat()}
        if self.days:
            return since | {"days": list(self.days)}
        return since | {"first": self.first, "factor": self.factor, "enough": self.enough}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> WarmUp:
        given = dict(stored)
        since = date.fromisoformat(given.pop("since"))
        return cls(since, days=tuple(given.pop("days", ())), **given)


def read_warm_up(given: Any, *, today: date) -> WarmUp | None:
    """A plan as people give it: null, {"days": […]} or {"first", "factor", "enough"}, each with "since" or from today
    on. Raises Invalid with a Problem for each culprit."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise Invalid(Problem("warm_up", 'must be null, {"days": […]} or {"first": …, "factor": …, "enough": …}'))
    since = _since(given.get("since"), today)
    rest = {name: value for name, value in given.items() if name != "since"}
    if set(rest) == {"days"}:
        return WarmUp(since, days=_days(rest["days"]))
    if set(rest) != {"first", "factor", "enough"}:
        raise Invalid(Problem("warm_up", 'must have either "days", or "first", "factor" and "enough"'))
    problems = [problem for name, value in rest.items() if (problem := _check(name, value)) is not None]
    if not problems and rest["first"] >= rest["enough"]:
        problems.append(Problem("warm_up.enough", f"must be more than the first day's {rest['first']}"))
    if problems:
        raise Invalid(problems)
    return WarmUp(since, first=int(rest["first"]), factor=float(rest["factor"]), enough=int(rest["enough"]))


def _steps(first: int, factor: float, enough: int) -> int:
    """After how many days `enough` is reached."""
    return 0 if first >= enough else math.ceil(math.log(enough / first) / math.log(factor)) + 1


def _since(given: Any, today: date) -> date:
    if given is None:
        return today
    try:
        return date.fromisoformat(str(given))
    except ValueError:
        raise Invalid(Problem("warm_up.since", f"{given!r} is not a day like 2026-12-24")) from None


def _days(given: Any) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_DAYS:
        raise Invalid(Problem("warm_up.days", f"must be a list of 1 to {MOST_DAYS} daily ceilings"))
    problems = [
        Problem(f"warm_up.days[{place}]", f"must be a whole number from 1 to {LARGEST}, not {value!r}")
        for place, value in enumerate(given)
        if not _whole(value)
    ]
    if problems:
        raise Invalid(problems)
    return tuple(given)


def _check(name: str, value: Any) -> Problem | None:
    if name == "factor":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and 1.01 <= value <= 10
        return None if fits else Problem("warm_up.factor", f"must be a number from 1.01 to 10, not {value!r}")
    fits = _whole(value)
    return None if fits else Problem(f"warm_up.{name}", f"must be a whole number from 1 to {LARGEST}, not {value!r}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST

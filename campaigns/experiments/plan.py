"""An experiment as a campaign asks for it: the variants, who gets which, how long the rest waits, what decides."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import accumulate, combinations
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Integer, cast, func, literal
from sqlalchemy.dialects.postgresql import ARRAY

from campaigns.respect.clocks import instant_of
from runtime.errors import Invalid, Problem
from runtime.text import printable
from segments.bucket import BUCKETS, bucket, bucket_sql

WINNERS = ("clicks", "opens", "revenue")
FALLBACKS = ("first", "leading")
TEXTS = ("subject", "html", "mjml", "text", "from")
MOST_VARIANTS = 10
_NAME_LIMIT = 50
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Variant:
    """What one group gets. `changes`: what differs from the campaign (`subject`, `html` or `mjml`, `text`, `from`).

    `delay_minutes` after the start of the run, or `send_at` ("18:30", the workspace's next such time then).
    """

    name: str
    changes: Mapping[str, str]
    weight: float = 1.0
    delay_minutes: float | None = None
    send_at: str | None = None

    @property
    def timed(self) -> bool:
        return self.delay_minutes is not None or self.send_at is not None

    @property
    def difference(self) -> tuple[object, ...]:
        """Equal for variants that cannot be told apart."""
        return tuple(sorted(self.changes.items())), self.delay_minutes or 0, self.send_at

    def starts(self, start: datetime, zone: ZoneInfo) -> datetime:
        """When the variant is due, in a run that starts at `start`."""
        if self.send_at is not None:
            return next_clock(start, time.fromisoformat(self.send_at), zone)
        return start + timedelta(minutes=self.delay_minutes or 0)


@dataclass(frozen=True)
class Experiment:
    """`test_percent` of the audience get the variants by their weights; the others wait `wait_hours` for the winner by
    `winner` (one of WINNERS), which must lead at a `significance` in percent. `fallback` where it does not: the "first"
    variant or the "leading" one."""

    variants: tuple[Variant, ...]
    test_percent: float = 20.0
    winner: str = "clicks"
    wait_hours: float = 4.0
    significance: float = 95.0
    fallback: str = "first"

    @property
    def timed(self) -> bool:
        """It is about the time of sending, at least for one of its variants."""
        return any(variant.timed for variant in self.variants)

    @property
    def wait(self) -> timedelta:
        return timedelta(hours=self.wait_hours)

    @property
    def edges(self) -> list[int]:
        """The bucket at which each variant's share ends; from the last on buckets are of the rest."""
        weights = list(accumulate(variant.weight for variant in self.variants))
        whole = self.test_percent / 100 * BUCKETS
        return [round(whole * weight / weights[-1]) for weight in weights]

    def slot(self, campaign_id: int, customer_id: int) -> int:
        """The number of the customer's variant, or that of variants where they are of the rest; for ever the same."""
        return bisect_right(self.edges, bucket(_salt(campaign_id), customer_id))

    def slot_sql(self, campaign_id: int, customer_id: ColumnElement[int]) -> ColumnElement[int]:
        """`slot` over a column of customer ids."""
        edges = cast(literal(self.edges, ARRAY(Integer)), ARRAY(Integer))
        return func.width_bucket(bucket_sql(_salt(campaign_id), customer_id), edges, type_=Integer)

    def rest_starts(self, winner: int, start: datetime, now: datetime, zone: ZoneInfo) -> datetime | None:
        """When the rest is due: at the winner's time of day if the experiment is about time, else (None) at once."""
        if not self.timed:
            return None
        hour = self.variants[winner].starts(start, zone).astimezone(zone).time().replace(second=0, microsecond=0)
        return next_clock(now, hour, zone)

    def last_start(self, start: datetime, zone: ZoneInfo) -> datetime:
        """When the last variant is due."""
        return max(variant.starts(start, zone) for variant in self.variants)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Experiment:
        variants = tuple(_variant(one) for one in stored["variants"])
        return cls(**{**stored, "variants": variants})


def read_experiment(path: str, given: Any) -> dict[str, Any]:
    """An experiment in its stored form. Raises Invalid with a Problem for each culprit, naming variant and field."""
    if not isinstance(given, Mapping):
        raise Invalid(Problem(path, 'must be an object {"variants": […], …}'))
    problems = [Problem(f"{path}.{key}", _unknown(_FIELDS)) for key in sorted(set(given) - {*_FIELDS})]
    problems += [
        Problem(f"{path}.{key}", f"must be {_FIELDS[key][1]}, not {value!r}")
        for key, value in given.items()
        if key in _FIELDS and not _FIELDS[key][0](value)
    ]
    problems += _variant_problems(f"{path}.variants", given.get("variants"))
    if problems:
        raise Invalid(problems)
    stored = {**given, "variants": [_stored(one) for one in given["variants"]]}
    _check_together(path, Experiment.from_json(stored))
    return stored


def next_clock(after: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The first moment from `after` on at which clocks of `zone` come to show hour and minute of `at`, or show them."""
    local = after.astimezone(zone)
    if (local.hour, local.minute) == (at.hour, at.minute):
        return after
    today = instant_of(datetime.combine(local, at), zone)
    return today if today >= after else instant_of(datetime.combine(local + timedelta(days=1), at), zone)


def _salt(campaign_id: int) -> str:
    return f"experiment:{campaign_id}:"


def _variant(stored: Mapping[str, Any]) -> Variant:
    changes = {key: stored[key] for key in TEXTS if key in stored}
    return Variant(changes=changes, **{key: value for key, value in stored.items() if key not in TEXTS})


def _stored(given: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    kept = {key: value for key, value in given.items() if value is not None and value != ""}
    return {**kept, "name": given["name"].strip()}


def _variant_problems(path: str, given: Any) -> list[Problem]:
    if not isinstance(given, list) or not 2 <= len(given) <= MOST_VARIANTS:
        return [Problem(path, f"must be a list of 2 to {MOST_VARIANTS} variants")]
    return [problem for place, one in enumerate(given) for problem in _one_variant(f"{path}[{place}]", one)]


def _one_variant(path: str, given: Any) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem(path, 'must be an object {"name", and what differs from the campaign}')]
    named = f"variant {given.get('name')!r}"
    problems = [Problem(f"{path}.{key}", _unknown(_OF_VARIANT)) for key in sorted(set(given) - {*_OF_VARIANT})]
    problems += [
        Problem(f"{path}.{key}", f"{named}: must be {_OF_VARIANT[key][1]}")
        for key, value in given.items()
        if key in _OF_VARIANT and value is not None and not _OF_VARIANT[key][0](value)
    ]
    if not given.get("name"):
        problems.append(Problem(f"{path}.name", "each variant needs a name"))
    for one, other in (("html", "mjml"), ("delay_minutes", "send_at")):
        if given.get(one) and given.get(other):
            problems.append(Problem(f"{path}.{other}", f"{named}: only one of {one} and {other} can be given"))
    return problems


def _check_together(path: str, experiment: Experiment) -> None:
    """What only shows when all variants are looked at."""
    problems = []
    for (_, one), (place, other) in combinations(enumerate(experiment.variants), 2):
        if one.name == other.name:
            problems.append(Problem(f"{path}.variants[{place}].name", f"two variants are called {one.name!r}"))
        if one.difference == other.difference:
            problems.append(
                Problem(f"{path}.variants[{place}]", f"variant {other.name!r} does not differ from {one.name!r}")
            )
    edges = experiment.edges
    for place, (low, high) in enumerate(zip([0, *edges], edges, strict=False)):
        if high <= low:
            name = experiment.variants[place].name
            problems.append(Problem(f"{path}.variants[{place}].weight", f"variant {name!r} would go to nobody"))
    if problems:
        raise Invalid(problems)


def _unknown(known: Sequence[str] | Mapping[str, object]) -> str:
    return f"unknown field; there are: {', '.join(known)}"


def _number_within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and printable(value) == value


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_name(value: Any) -> bool:
    return _is_line(value) and 0 < len(value.strip()) <= _NAME_LIMIT


_Field = tuple[Callable[[Any], bool], str]

_FIELDS: Mapping[str, _Field] = {
    "variants": (lambda value: True, "a list of variants"),
    "test_percent": (_number_within(0.1, 100), "a share of the audience in percent from 0.1 to 100"),
    "winner": (lambda value: value in WINNERS, f"one of {', '.join(WINNERS)}"),
    "wait_hours": (_number_within(0.05, 720), "a number of hours from 0.05 to 720"),
    "significance": (_number_within(50, 99.9), "a certainty in percent from 50 to 99.9"),
    "fallback": (lambda value: value in FALLBACKS, f"one of {', '.join(FALLBACKS)}"),
}

_TEXT: _Field = (_is_text, "text, without NUL and half surrogate pairs")

_OF_VARIANT: Mapping[str, _Field] = {
    "name": (_is_name, f"one line of 1 to {_NAME_LIMIT} characters"),
    "subject": _TEXT,
    "html": _TEXT,
    "mjml": _TEXT,
    "text": _TEXT,
    "from": (_is_line, "a sender like 'Name <address@example.com>'"),
    "weight": (_number_within(0.01, 1000), "a weight from 0.01 to 1000"),
    "delay_minutes": (_number_within(0, 20_160), "a number of minutes from 0 to 20160 (two weeks)"),
    "send_at": (lambda value: isinstance(value, str) and bool(_CLOCK.fullmatch(value)), "a time of day like '18:30'"),
}

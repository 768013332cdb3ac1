"""The options of a campaign: known by name, checked, refused by name where they are not there (yet)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from campaigns.experiments.plan import Experiment, read_experiment
from runtime.errors import Invalid, Problem

OBEY, IGNORE = "obey", "ignore"


@dataclass(frozen=True)
class Options:
    """What a campaign may ask for besides its content.

    `rate_per_second`: messages handed over at most, None as fast as it goes. `holdout_percent`: share of customers that
    gets nothing, the same people in every campaign. `catch_up_hours`: a due time missed by more is not made up for.
    `frequency_cap`, `quiet_hours`, `service_hold`: whether the workspace's contact rules of that name count for this
    campaign. `one_per_household`: one message a household (campaigns/respect/household.py). `experiment`: in its stored
    form, for `tested`. `recipient_local_time`, `send_time_optimisation` ({"window_hours"}), `spread_over` (minutes):
    campaigns/timing.py. `deadline`: so many hours after the due time what is still queued is cancelled.
    `topic`: what the campaign is about (customers/topics.py); who wants nothing about it is skipped.
    """

    rate_per_second: float | None = None
    holdout_percent: float = 0.0
    catch_up_hours: float = 6.0
    frequency_cap: str = OBEY
    quiet_hours: str = OBEY
    service_hold: str = OBEY
    one_per_household: bool = False
    experiment: Mapping[str, Any] | None = None
    recipient_local_time: bool = False
    send_time_optimisation: Mapping[str, float] | None = None
    spread_over: float | None = None
    deadline: float | None = None
    topic: str | None = None

    @property
    def tested(self) -> Experiment | None:
        """The variants to try on some before the rest gets the best."""
        return None if self.experiment is None else Experiment.from_json(self.experiment)

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        return {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULTS, name)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Options:
        return cls(**stored)


_DEFAULTS = Options()


def read_options(given: Any) -> Options:
    """The options of a request (None: all defaults). Raises Invalid with a Problem for each culprit."""
    if given is None:
        return _DEFAULTS
    if not isinstance(given, Mapping):
        raise Invalid(Problem("options", "must be an object of options by name"))
    read: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        try:
            read[name] = _read(name, value)
        except Invalid as error:
            problems += error.problems
    if problems:
        raise Invalid(problems)
    return Options.from_json(read)


def _read(name: str, value: Any) -> Any:
    if name not in _READERS:
        raise Invalid(Problem(f"options.{name}", f"unknown option; there are: {', '.join(_READERS)}"))
    return _READERS[name](f"options.{name}", value)


def _number(fits: Callable[[float], bool], words: str, *, none: bool = False) -> Reader:
    """Reads a number that `fits`; `none`: or null."""

    def read(path: str, value: Any) -> float | None:
        if value is None and none:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
            raise Invalid(Problem(path, f"must be {words}, not {value!r}"))
        return float(value)

    return read


def _obeying(path: str, value: Any) -> str:
    if value not in (OBEY, IGNORE):
        raise Invalid(Problem(path, f'must be "{OBEY}" or "{IGNORE}", not {value!r}'))
    return str(value)


def _yes_no(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(Problem(path, f"must be true or false, not {value!r}"))
    return value


def _topic(path: str, value: Any) -> str | None:
    """Whether there is such a topic is asked where the campaign is written (campaigns/store.py)."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Invalid(Problem(path, f"must be the key of a topic, not {value!r}"))
    return value


def _optimised(path: str, value: Any) -> dict[str, float] | None:
    """True: within a day."""
    if value is None or value is False:
        return None
    if value is True:
        return {"window_hours": 24.0}
    if not isinstance(value, Mapping) or set(value) != {"window_hours"}:
        raise Invalid(Problem(path, 'must be true or {"window_hours": …}'))
    hours = _number(lambda given: 1 <= given <= 24, "a number of hours from 1 to 24")
    return {"window_hours": hours(f"{path}.window_hours", value["window_hours"]) or 0.0}


Reader = Callable[[str, Any], Any]
"""From the path and the value of an option to what Options keeps, which is plain JSON. Raises Invalid."""

_READERS: Mapping[str, Reader] = {
    "rate_per_second": _number(
        lambda value: 0.01 <= value <= 100_000, "a number of messages a second from 0.01 to 100000", none=True
    ),
    "holdout_percent": _number(lambda value: 0 <= value <= 50, "a share in percent from 0 to 50"),
    "catch_up_hours": _number(lambda value: 0 <= value <= 168, "a number of hours from 0 to 168"),
    "frequency_cap": _obeying,
    "quiet_hours": _obeying,
    "service_hold": _obeying,
    "one_per_household": _yes_no,
    "recipient_local_time": _yes_no,
    "send_time_optimisation": _optimised,
    "spread_over": _number(lambda value: 1 <= value <= 10_080, "a number of minutes from 1 to 10080", none=True),
    "deadline": _number(lambda value: 0.1 <= value <= 720, "a number of hours from 0.1 to 720", none=True),
    "topic": _topic,
    "experiment": lambda path, value: None if value is None else read_experiment(path, value),
}

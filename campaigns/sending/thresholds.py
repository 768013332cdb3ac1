"""Bounces and complaints that stop a campaign: kept for the workspace, judged over all that was sent since it was
last allowed to go on, and over the last day alone, so that good months do not hide a bad day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime import workspace
from runtime.errors import Invalid, Problem
from runtime.models import workspace as facts

KEY = "sending.thresholds"


@dataclass(frozen=True)
class Thresholds:
    """Shares in percent; None: never. Nothing is judged before `minimum` messages have gone.

    Complaints by the rules of Gmail and Yahoo for bulk senders: below 0.1%, never 0.3%.
    """

    complaints_alarm: float | None = 0.1
    complaints_pause: float | None = 0.3
    bounces_pause: float | None = 5.0
    minimum: int = 500


@dataclass(frozen=True)
class Evidence:
    """`sent`: taken over by the mail server; `refused`: it said at once that there is no such recipient, or the like;
    `bounced`: taken over and sent back; `complained`: reported as spam."""

    sent: int = 0
    refused: int = 0
    bounced: int = 0
    complained: int = 0

    def since(self, before: Evidence) -> Evidence:
        """What came after `before`."""
        return Evidence(*(max(0, now - then) for now, then in zip(_values(self), _values(before), strict=True)))


@dataclass(frozen=True)
class Judgement:
    """`pause`: why the campaign must stop; `alarm`: what people should know."""

    pause: str | None = None
    alarm: str | None = None


def judge(found: Evidence, limits: Thresholds, *, lately: bool = False) -> Judgement:
    """What follows from the evidence. `lately`: it is that of the last day, and is said to be."""
    tried = found.sent + found.refused
    if tried < limits.minimum:
        return Judgement()
    complaints = _share(found.complained, found.sent)
    bounces = _share(found.bounced + found.refused, tried)
    if limits.complaints_pause is not None and complaints >= limits.complaints_pause:
        said = _counting(
            f"{found.complained} of {found.sent} recipients reported it as spam ({complaints:.2f}%)", lately
        )
        return Judgement(pause=f"{said}; campaigns stop at {limits.complaints_pause:g}%")
    if limits.bounces_pause is not None and bounces >= limits.bounces_pause:
        said = _counting(f"{found.bounced + found.refused} of {tried} messages bounced ({bounces:.1f}%)", lately)
        return Judgement(pause=f"{said}; campaigns stop at {limits.bounces_pause:g}%")
    if limits.complaints_alarm is not None and complaints >= limits.complaints_alarm:
        said = _counting(
            f"{found.complained} of {found.sent} recipients reported it as spam ({complaints:.2f}%)", lately
        )
        return Judgement(alarm=f"{said}; mail providers accept less than {limits.complaints_alarm:g}%")
    return Judgement()


async def load_thresholds(conn: AsyncConnection) -> Thresholds:
    stored = await conn.scalar(select(facts.c.value).where(facts.c.key == KEY))
    return Thresholds(**(stored or {}))


async def save_thresholds(conn: AsyncConnection, given: Mapping[str, Any]) -> Thresholds:
    """Keep what was given; what was not stays as it is. Raises Invalid with a Problem for each culprit."""
    problems = [problem for name, value in given.items() if (problem := _check(name, value)) is not None]
    if problems:
        raise Invalid(problems)
    following = Thresholds(**{**asdict(await load_thresholds(conn)), **given})
    alarm, pause = following.complaints_alarm, following.complaints_pause
    if alarm is not None and pause is not None and alarm > pause:
        raise Invalid(Problem("complaints_alarm", f"must not be more than the pause at {pause:g}%"))
    await workspace.put(conn, KEY, asdict(following))
    return following


def _check(name: str, value: Any) -> Problem | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "minimum":
        fits = number and isinstance(value, int) and 1 <= value <= 1_000_000
        return None if fits else Problem(name, f"must be a whole number of messages from 1 to 1000000, not {value!r}")
    if name not in _NAMES:
        return Problem(name, f"unknown threshold; there are: {', '.join(_NAMES)}")
    fits = value is None or (number and 0.01 <= value <= 100)
    return None if fits else Problem(name, f"must be a share in percent from 0.01 to 100, or null, not {value!r}")


def _counting(said: str, lately: bool) -> str:
    return f"{said}, counting the last day" if lately else said


def _share(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0


def _values(evidence: Evidence) -> tuple[int, ...]:
    return (evidence.sent, evidence.refused, evidence.bounced, evidence.complained)


_NAMES = tuple(field.name for field in fields(Thresholds))

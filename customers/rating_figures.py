"""Ratings summed up: averages, the share of the satisfied, the Net Promoter Score; by month, provider, salesperson,
category. Only answers that count.

A summary is a fold of scores: two of them added are the summary of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import ratings
from customers.surveys import DETRACTOR, NPS, PROMOTER, SATISFIED_FROM, SURVEYS, nps_group
from runtime.text import fold

COLUMNS = ("provider", "salesperson", "category")
_SETS = {0b0111: "month", 0b1011: "provider", 0b1101: "salesperson", 0b1110: "category"}  # by what each leaves out


@dataclass(frozen=True)
class Summary:
    """How often each score was given in one survey."""

    survey: str
    scores: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Summary) -> Summary:
        return Summary(self.survey, Counter(self.scores) + Counter(other.scores))

    @property
    def answers(self) -> int:
        return sum(self.scores.values())

    @property
    def distribution(self) -> list[int]:
        """The number of each answer, the lowest first."""
        return [self.scores.get(score, 0) for score in SURVEYS[self.survey].scores]

    @property
    def average(self) -> Decimal | None:
        return _part(sum(score * count for score, count in self.scores.items()), self.answers)

    @property
    def bad(self) -> int:
        return sum(count for score, count in self.scores.items() if score <= SURVEYS[self.survey].bad)

    @property
    def groups(self) -> Mapping[str, int]:
        """Promoters, passives and detractors of the NPS survey."""
        found: Counter[str] = Counter()
        for score, count in self.scores.items():
            found[nps_group(score)] += count
        return found

    @property
    def value(self) -> Decimal | None:
        """What the survey is read by: the NPS (-100 to 100), else the share (0 to 1) of those who are satisfied."""
        if self.survey == NPS.name:
            found = self.groups
            return _part(100 * (found[PROMOTER] - found[DETRACTOR]), self.answers)
        return _part(sum(count for score, count in self.scores.items() if score >= SATISFIED_FROM), self.answers)


@dataclass(frozen=True)
class Asked:
    """Which ratings: of `survey`, from `start` up to, not including, `end`; the rest narrows where it is given. `q`
    looks in comments; `salesperson` is a code."""

    survey: str
    start: datetime | None = None
    end: datetime | None = None
    provider: str | None = None
    salesperson: str | None = None
    category: str | None = None
    q: str | None = None
    commented: bool = False
    bad: bool = False


@dataclass(frozen=True)
class Figures:
    """`months`: of each month of the workspace's clock, as 2026-11, in order; those without an answer are left out.
    `groups`: by COLUMNS, of each provider, salesperson or category, those with the most answers first; unknown ones are
    left out."""

    months: Mapping[str, Summary]
    groups: Mapping[str, Mapping[str, Summary]]


async def figures(conn: AsyncConnection, asked: Asked, timezone: str) -> Figures:
    """All in one look at the ratings."""
    month = func.date_trunc("month", func.timezone(timezone, ratings.c.at)).label("month")
    cell = [month, *(ratings.c[name] for name in COLUMNS), ratings.c.score]
    chosen = rows(asked, *cell, func.count().label("n")).group_by(*cell).subquery().c  # few, for the sets to sum up
    by = [chosen.month, *(chosen[name] for name in COLUMNS)]
    sets = func.grouping_sets(*(tuple_(one, chosen.score) for one in by))
    statement = select(*by, chosen.score, func.grouping(*by).label("left_out"), func.sum(chosen.n).label("n")).group_by(
        sets
    )
    found: dict[str, dict[str, dict[int, int]]] = {name: {} for name in _SETS.values()}
    for row in await conn.execute(statement):
        name = _SETS[row.left_out]
        if (value := getattr(row, name)) is not None:
            code = f"{value:%Y-%m}" if name == "month" else value
            found[name].setdefault(code, {})[row.score] = int(row.n)
    months, *groups = (_summaries(asked, found[name]) for name in _SETS.values())
    ranked = [dict(sorted(one.items(), key=lambda pair: (-pair[1].answers, pair[0]))) for one in groups]
    return Figures(dict(sorted(months.items())), dict(zip(COLUMNS, ranked, strict=True)))


def rows(asked: Asked, *columns: ColumnElement[Any]) -> Select[Any]:
    """A statement over those ratings."""
    return select(*columns).select_from(ratings).where(ratings.c.counts, *_conditions(asked))


def _summaries(asked: Asked, found: Mapping[str, Mapping[int, int]]) -> dict[str, Summary]:
    return {name: Summary(asked.survey, scores) for name, scores in found.items()}


def _conditions(asked: Asked) -> Sequence[ColumnElement[bool]]:
    row = ratings.c
    named = {name: getattr(asked, name) for name in ("provider", "salesperson", "category")}
    found = [row.survey == asked.survey, *(row[name] == value for name, value in named.items() if value is not None)]
    if asked.start is not None:
        found.append(row.at >= asked.start)
    if asked.end is not None:
        found.append(row.at < asked.end)
    if asked.q:
        found.append(row.comment_folded.contains(fold(asked.q), autoescape=True))
    if asked.commented:
        found.append(row.comment.is_not(None))
    if asked.bad:
        found.append(row.score <= SURVEYS[asked.survey].bad)
    return found


def _part(number: int, of: int) -> Decimal | None:
    return (Decimal(number) / of).quantize(Decimal("0.0001"), ROUND_HALF_UP) if of else None

"""Numbers that fade by themselves: so many points now, half as many a half-life later.

Such a number is stored as the instant at which it will have fallen to one point. That instant stands still while the
number fades, so nothing has to be written as time passes; two people's numbers never change places, so an index keeps
their order at every moment; "at least so many points now" is a comparison with one instant. Points that are added later
or learnt of late are joined to it: in any order, the sum is the same but for its last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from math import log2
from typing import Any

from sqlalchemy import ColumnElement, Float, Numeric, cast, extract, func

CENT = Decimal("0.01")
_NEVER = datetime.min.replace(tzinfo=UTC)
_ENDLESS = datetime.max.replace(tzinfo=UTC)
_MOST = Decimal(10**12)  # nobody has so many
_TOO_SMALL = 60  # so many half-lives apart, the smaller of two numbers no longer shows in their sum


@dataclass(frozen=True)
class Fading:
    """How fast a number fades. It is told with two decimals."""

    half_life: timedelta

    def earned(self, points: float, at: datetime) -> datetime:
        """`points` (> 0) that were earned at `at`, as they are stored."""
        return at + self.half_life * log2(points)

    def joined(self, one: datetime, other: datetime) -> datetime:
        """The sum of two."""
        high, low = max(one, other), min(one, other)
        apart: float = (high - low) / self.half_life
        return high + self.half_life * log2(1 + 2 ** -min(apart, _TOO_SMALL))

    def value(self, until: datetime | None, now: datetime) -> Decimal | None:
        """What the number is at `now`; None for one that is missing."""
        if until is None:
            return None
        halvings = max(min((until - now) / self.half_life, _TOO_SMALL), -_TOO_SMALL)
        return Decimal(2**halvings).quantize(CENT, ROUND_HALF_UP)

    def at_least(self, value: Decimal, now: datetime) -> datetime:
        """From which instant on a stored one is `value` (rounded up to two decimals) or more at `now`."""
        if value > _MOST:
            return _ENDLESS
        if value < 0:
            return _NEVER
        exact = value.quantize(CENT, ROUND_CEILING) - CENT / 2
        return now + self.half_life * log2(exact) if exact > 0 else _NEVER

    def more_than(self, value: Decimal, now: datetime) -> datetime:
        """From which instant on a stored one is more than `value` at `now`."""
        return (
            self.at_least(value.quantize(CENT, ROUND_FLOOR) + CENT, now)
            if abs(value) < _MOST
            else self.at_least(value, now)
        )

    def value_sql(self, until: ColumnElement[Any], now: Any = None) -> ColumnElement[Any]:
        """`value` of a column, as SQL; `now`: that of the transaction unless given."""
        apart = extract("epoch", until - (func.now() if now is None else now)) / self.half_life.total_seconds()
        halvings = func.greatest(func.least(cast(apart, Float(53)), _TOO_SMALL), -_TOO_SMALL)
        return func.round(cast(func.power(cast(2, Float(53)), halvings), Numeric), 2)

    def joined_sql(self, one: str, other: str) -> str:
        """`joined` of two SQL expressions, each of which may be NULL."""
        seconds = self.half_life.total_seconds()
        apart = f"least(abs(extract(epoch FROM {one} - ({other}))) / {seconds}, {_TOO_SMALL})"
        more = f"ln(1 + power(CAST(2 AS float8), -CAST({apart} AS float8))) / ln(CAST(2 AS float8)) * {seconds}"
        return f"(greatest({one}, {other}) + coalesce({more}, 0) * interval '1 second')"

    def sum_sql(self, until: str, top: str) -> str:
        """The sum of the `until`s of a group as an aggregate; `top`: the largest of the group, in each of its rows."""
        seconds = self.half_life.total_seconds()
        apart = f"least(extract(epoch FROM {top} - {until}) / {seconds}, {_TOO_SMALL})"
        total = f"sum(power(CAST(2 AS float8), -CAST({apart} AS float8)))"
        return f"(max({top}) + ln({total}) / ln(CAST(2 AS float8)) * {seconds} * interval '1 second')"

    def earned_sql(self, points: int, at: str) -> str:
        """`earned` of an SQL expression."""
        return f"({at} + interval '{self.half_life.total_seconds() * log2(points)} s')"

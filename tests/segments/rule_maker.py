"""Generated rules: every part of the language, over the values of a world.

`pick` is hypothesis's `Random`: each choice of it is one that hypothesis makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

from tests.segments.rule_fields import CUSTOMER_FIELDS, RECORD_FIELDS, WORDED
from tests.segments.rule_reference import World, fold
from tests.segments.rule_values import DAY, HUGE, PATTERNS, Pools

Rule = dict[str, Any]
Theme = Literal["fields", "times", "records", "aggregates", "people", "mixed"]
THEMES: tuple[Theme, ...] = ("fields", "times", "records", "aggregates", "people", "mixed")
"""What rules are mostly about; `mixed` has everything, in deeper groups."""

_TIMES = ("date", "instant")
_PEOPLE = ("reachable", "rfm", "attributes", "tags", "external_id", "community", "dealer", "salesperson")
_GROUPS = ("all", "any", "none")
_COMPARISONS = ("eq", "ne", "lt", "lte", "gt", "gte")


@dataclass(frozen=True)
class Maker:
    """Makes rules about one theme; `segments`: the ids that an `in_segment` may name."""

    pick: Random
    pools: Pools
    theme: Theme = "mixed"
    segments: tuple[int, ...] = ()

    def rule(self) -> Rule:
        return self._grouped(self.condition, 4 if self.theme == "mixed" else 3)

    def condition(self) -> Rule:
        """A condition about the customer."""
        makers: dict[Theme, list[Callable[[], Rule]]] = {
            "fields": [self._customer_field],
            "times": [self._customer_field, self.has],
            "records": [self.has, self.has, self._customer_field],
            "aggregates": [self.has],
            "people": [self._customer_field, self._membership, self._bucket],
            "mixed": [self._customer_field, self.has, self._membership, self._bucket, self.has, self._customer_field],
        }
        return self.pick.choice(makers[self.theme])()

    def has(self) -> Rule:
        """A condition about records."""
        source = self.pick.choice([*RECORD_FIELDS])
        rule: Rule = {"has": source}
        about = [*RECORD_FIELDS[source].items()]
        if self.theme == "times":
            about = [(name, kind) for name, kind in about if kind in _TIMES]
        if self._often():
            rule["where"] = self._grouped(lambda: self.test(*self.pick.choice(about)), 2)
        measure = self.pick.choice(["", "count", "sum", "avg", "min", "max"])
        if measure == "count":
            rule["count"] = self._count()
        elif measure:
            rule |= self._aggregate(measure, about)
        return rule

    def test(self, name: str, kind: str, *, measured: bool = False) -> Rule:
        """A field test; `measured`: of an aggregate."""
        if not measured and self.pick.random() < 0.08:
            return {"field": name, "op": self.pick.choice(["empty", "not_empty"])}
        if kind == "number":
            op, value = self._number_test(lambda: self._number(name, measured))
        elif kind in _TIMES:
            op, value = self._time_test(kind)
        elif kind == "yes_no":
            op, value = "is", self.pick.random() < 0.5
        elif kind == "list":
            op, value = self.pick.choice(["has_any", "has_all", "has_none"]), self._some(self._word, 3)
        else:
            op, value = self._text_test(WORDED.get(kind, kind), kind)
        return {"field": name, "op": op, "value": value}

    def _customer_field(self) -> Rule:
        named = [*CUSTOMER_FIELDS.items()]
        if self.theme == "times":
            named = [(name, kind) for name, kind in named if kind in _TIMES]
        if self.theme == "people":
            named = [(name, kind) for name, kind in named if name.split(".")[0] in _PEOPLE]
            named += [("reachable.email", "yes_no")] * 4
        return self.test(*self.pick.choice(named))

    def _membership(self) -> Rule:
        if self.segments and self._often():
            return {"in_segment": self.pick.choice(self.segments)}
        return {"in_audience": 1}

    def _bucket(self) -> Rule:
        """Buckets whose ends are those of customers, or next to them."""
        ends = sorted(
            min(max(self.pick.choice([0, 9_999, *self.pools.buckets]) + self.pick.choice([-1, 0, 1]), 0), 9_999)
            for _ in range(2)
        )
        return {"bucket": {"from": ends[0], "to": ends[1]}}

    def _grouped(self, child: Callable[[], Rule], depth: int) -> Rule:
        """`child`, alone or in groups."""
        if depth == 1 or self.pick.random() < 0.3:
            return child()
        size = self.pick.choice([0, 1, 2, 2, 2, 3, 3, 4])
        return {self.pick.choice(_GROUPS): [self._grouped(child, depth - 1) for _ in range(size)]}

    def _often(self) -> bool:
        return self.pick.random() < 0.7

    def _some(self, item: Callable[[], Any], most: int = 4) -> list[Any]:
        return [item() for _ in range(self.pick.randrange(1, most + 1))]

    def _count(self) -> Rule:
        op, value = self._number_test(lambda: self.pick.choice([0, 1, 1, 2, 3, "1.5", -1, "2.0"]))
        return {"op": op, "value": value}

    def _aggregate(self, name: str, about: list[tuple[str, str]]) -> Rule:
        kinds = ("number", *_TIMES) if name in ("min", "max") else ("number",)
        measured = [(field, kind) for field, kind in about if kind in kinds]
        return {name: self.test(*self.pick.choice(measured), measured=True)} if measured else {}

    def _number_test(self, number: Callable[[], Any]) -> tuple[str, Any]:
        op = self.pick.choice([*_COMPARISONS, "in", "not_in", "between", "between"])
        if op in _COMPARISONS:
            return op, number()
        if op != "between":
            return op, self._some(number)
        ends = [number(), number()]
        return op, sorted(ends, key=lambda end: Decimal(str(end))) if self._often() else ends

    def _number(self, name: str, measured: bool) -> Any:
        """A number of the pool, the sum or mean of two, or one of extreme size, as JSON writes numbers."""
        found = self.pools.numbers_of(name)
        value = self.pick.choice(found)
        if measured and self.pick.random() < 0.5:
            value = value + self.pick.choice(found)
            value = value / 2 if self._often() else value
        if self.pick.random() < 0.06:
            value = Decimal(self.pick.choice(HUGE))
        return self.pick.choice(_WRITTEN)(value)

    def _time_test(self, kind: str) -> tuple[str, Any]:
        relative = ["older_than", "within_last", "within_next", "not_within_last", "anniversary_within_next"]
        op = self.pick.choice(["before", "after", "on", "between", *relative])
        if op == "anniversary_within_next" and self._often():  # less than a year, or every day is one
            return op, self.pick.choice(["P30D", "P1M", "P6M", "P300D", "P364D"])
        if op in relative:
            clocks = [*self.pools.clocks, *self.pools.clocks] if kind == "instant" else []
            return op, self.pick.choice([*self.pools.durations, *clocks])
        if op != "between":
            return op, self._time(kind)
        ends = [self._time(kind), self._time(kind)]
        return op, sorted(ends) if self._often() else ends

    def _time(self, kind: str) -> str:
        if kind == "date":
            return self.pick.choice(self.pools.values["date"]).isoformat()
        instant: datetime = self.pick.choice(self.pools.values["instant"])
        form = self.pick.randrange(4)
        if form == 0:  # a whole day: of the instant, or next to it
            local = (instant + self.pick.choice([-DAY, 0 * DAY, DAY])).astimezone(self.pools.zone)
            return local.date().isoformat()
        if form == 1:
            return self.pick.choice(self.pools.values["date"]).isoformat()
        local = instant.astimezone(self.pools.zone)
        if form == 2 and local.utcoffset() % timedelta(minutes=1) == timedelta(0):  # type: ignore[operator]
            return local.isoformat()
        return instant.isoformat().replace("+00:00", "Z")

    def _text_test(self, kind: str, worded: str) -> tuple[str, Any]:
        if kind == "text" and self.pick.random() < 0.05:
            return "matches", self.pick.choice(PATTERNS)
        op = self.pick.choice(["eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with"])
        if op in ("in", "not_in"):
            return op, self._some(lambda: self._said(kind, worded, ""))
        return op, self._said(kind, worded, op)

    def _said(self, kind: str, worded: str, op: str) -> str:
        """A text of the pool, written otherwise now and then, or a part of it, or with a sign that LIKE would read."""
        text: str = self.pick.choice(self.pools.values[worded])
        if "with" in op or "contains" in op:
            start, end = sorted(self.pick.randrange(len(text) + 1) for _ in range(2))
            start, end = (0 if op == "starts_with" else start), (len(text) if op == "ends_with" else end)
            text = text[start:end] if self._often() else text
            if text and self.pick.random() < 0.15:
                place = self.pick.randrange(len(text))
                text = text[:place] + self.pick.choice("_%\\") + text[place + 1 :]
        return text if kind == "code" and self._often() else self.pick.choice([text, text, text.upper(), fold(text)])

    def _word(self) -> str:
        return self.pick.choice(["gree", "Gree", "Midea", "ß", "ss", ""])


_WRITTEN: tuple[Callable[[Decimal], Any], ...] = (
    lambda number: f"{number:f}",
    lambda number: f" {number:+f}0" if "." in f"{number:f}" else f"{number:f}.",
    lambda number: int(number) if number == int(number) else float(number) if _short(number) else str(number),
)


def _short(number: Decimal) -> bool:
    """Whether a float says the same."""
    return Decimal(repr(float(number))) == number


SEGMENTS = (10**9 + 1, 10**9 + 2, 10**9 + 3)  # none that a new segment would get


def add_segments(world: World, maker: Maker) -> None:
    """Give the world segments that refer to each other: the second and third to those before."""
    one, two, three = SEGMENTS
    world.segments = {one: replace(maker, segments=()).rule(), two: {"none": [{"in_segment": one}]}}
    world.segments[three] = replace(maker, segments=(one, two)).rule()

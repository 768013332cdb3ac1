"""What was counted of a salesperson in a month, and how a month is measured for everybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from sales.facts import MATCHED, PARTS

PLAIN, RATIO = "plain", "matched"
"""How a part is measured: as a share or money, or against matched households."""

_FINE = Decimal("0.0001")


@dataclass(frozen=True)
class Count:
    """`counted` of `total` records count; `amount`: of those. `expected`: what matched households would have done,
    where there are enough of them; `actual` is what it is compared with. `share`: sales.matching.Match."""

    counted: int = 0
    total: int = 0
    amount: Decimal | None = None
    actual: Decimal | None = None
    expected: Decimal | None = None
    share: Decimal | None = None


@dataclass(frozen=True)
class Measures:
    """Of one salesperson: `customers` of their own, and a Count for each part."""

    code: str
    customers: int
    counts: dict[str, Count]


@dataclass(frozen=True)
class Frame:
    """The same for all salespeople of a month: each part's method, and the parts that can be measured for anybody."""

    methods: Mapping[str, str]
    measured: frozenset[str]


def frame_of(measures: Collection[Measures]) -> Frame:
    """A ratio only where all who have something to compare can be compared."""
    methods = dict.fromkeys(PARTS, PLAIN)
    for part in MATCHED:
        counts = [each.counts[part] for each in measures if each.counts[part].actual is not None]
        if counts and all(count.expected is not None and count.expected > 0 for count in counts):
            methods[part] = RATIO
    measured = {part for part in PARTS if any(value_of(part, each, methods) is not None for each in measures)}
    return Frame(methods, frozenset(measured))


def value_of(name: str, measures: Measures, methods: Mapping[str, str]) -> Decimal | None:
    """A share of records that count, a ratio to what was expected; for margin else the money."""
    count = measures.counts[name]
    if methods[name] == RATIO:
        return None if count.actual is None or not count.expected else (count.actual / count.expected).quantize(_FINE)
    if name == "margin":
        return count.amount if count.counted else Decimal(0) if not count.total and measures.customers else None
    if name == "growth":
        before = count.total - count.counted
        return Decimal(count.counted) / before if before else None
    return Decimal(count.counted) / count.total if count.total else None


def written(measures: Measures, frame: Frame) -> dict[str, Any]:
    """As JSON keeps them."""
    counts = {
        part: {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in asdict(count).items()
            if value is not None
        }
        for part, count in measures.counts.items()
    }
    ratios = [part for part, method in frame.methods.items() if method == RATIO]
    return {"customers": measures.customers, "counts": counts, "ratios": ratios, "measured": sorted(frame.measured)}


def nothing_of(code: str) -> Measures:
    return Measures(code, 0, {part: Count() for part in PARTS})


def read_measures(code: str, kept: Mapping[str, Any]) -> Measures:
    counts = {part: _count(kept["counts"][part]) if part in kept["counts"] else Count() for part in PARTS}
    return Measures(code, kept["customers"], counts)


def read_frame(kept: Mapping[str, Any]) -> Frame:
    return Frame({part: RATIO if part in kept["ratios"] else PLAIN for part in PARTS}, frozenset(kept["measured"]))


def _count(kept: dict[str, Any]) -> Count:
    values: dict[str, Any] = {name: Decimal(value) if isinstance(value, str) else value for name, value in kept.items()}
    return Count(**values)

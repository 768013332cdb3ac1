"""What all benchmarks share: the command line, the measuring in turns, the verdict.

A benchmark's module has `async measure(scale) -> Sequence[Result]` and hands it to `main`. Both sides are measured in
the same run, in turns, and only their ratio is judged: the machine's mood then meets both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from runtime.errors import HearthError

ROUNDS = 5

Side = Callable[[], Awaitable[float]]


@dataclass(frozen=True)
class Result:
    """One comparison. `ours` and `baseline_value` are in `unit`; `ratio` says how many times better ours is; below
    `bar` something has gone wrong, `goal` is what we are after."""

    name: str
    ours: float
    unit: str
    baseline: str
    baseline_value: float
    ratio: float
    bar: float
    goal: float

    @property
    def missed(self) -> bool:
        return self.ratio < self.bar


Measure = Callable[[float], Coroutine[Any, Any, Sequence[Result]]]


@dataclass(frozen=True)
class Pair:
    """Medians of both sides."""

    ours: float
    baseline: float

    def cost(self, name: str, unit: str, baseline: str, *, bar: float, goal: float) -> Result:
        """As a result where less is better (time, memory)."""
        return Result(name, self.ours, unit, baseline, self.baseline, self.baseline / self.ours, bar, goal)

    def rate(self, name: str, unit: str, baseline: str, *, bar: float, goal: float) -> Result:
        """As a result where more is better (per second)."""
        return Result(name, self.ours, unit, baseline, self.baseline, self.ours / self.baseline, bar, goal)


async def alternate(ours: Side, baseline: Side, rounds: int = ROUNDS) -> Pair:
    """Measure both sides in turns, each first in every other round, and take the medians."""
    return Pair(*await take_turns([ours, baseline], rounds))


async def take_turns(sides: Sequence[Side], rounds: int = ROUNDS) -> list[float]:
    """The median of each side, measured in turns, the order turned round in every other round."""
    values: list[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        for place in range(len(sides)) if number % 2 == 0 else reversed(range(len(sides))):
            values[place].append(await sides[place]())
    return [statistics.median(each) for each in values]


def main(doc: str | None, measure: Measure, arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where a bar is missed at scale 1 (or the benchmark cannot run), 2 misused."""
    asked = _asked(doc, arguments)
    try:
        results = uvloop.run(measure(asked.scale))
    except HearthError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for result in results if asked.json else ():
        print(json.dumps(asdict(result)), flush=True)
    if not asked.json:
        Console(width=None if sys.stdout.isatty() else 120).print(_table(results))
    return int(asked.scale == 1 and any(result.missed for result in results))


def _asked(doc: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--scale", type=_scale, default=1.0, help="how much is measured; bars count at 1 (default)")
    return parser.parse_args(arguments)


def _scale(given: str) -> float:
    scale = float(given)
    if not 0 < scale <= 1000:
        raise argparse.ArgumentTypeError("must be above 0, at most 1000")
    return scale


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("benchmark", "ours", "unit", "baseline", "", "ratio", "bar", "goal", ""):
        table.add_column(heading, justify="left" if heading in ("benchmark", "unit", "baseline") else "right")
    for result in results:
        verdict = "missed" if result.missed else "goal reached" if result.ratio >= result.goal else "ok"
        numbers = [f"{value:.2f}" for value in (result.ratio, result.bar, result.goal)]
        both = [f"{value:,.0f}" for value in (result.ours, result.baseline_value)]
        table.add_row(result.name, both[0], result.unit, result.baseline, both[1], *numbers, verdict)
    return table

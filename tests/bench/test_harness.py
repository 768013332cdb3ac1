"""The contract of a benchmark's command: its lines, its exit status, and that both sides are measured in turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.harness import Measure, Pair, Result, Side, alternate, main
from runtime.errors import Unavailable

ROOT = Path(__file__).parent.parent.parent
KEYS = ["name", "ours", "unit", "baseline", "baseline_value", "ratio", "bar", "goal"]


def measuring(*ratios: float, scales: list[float] | None = None) -> Measure:
    """A benchmark that finds these ratios, its bar at 2."""

    async def measure(scale: float) -> Sequence[Result]:
        if scales is not None:
            scales.append(scale)
        return [Result("made up", 1.0, "s", "other", ratio, ratio, bar=2.0, goal=4.0) for ratio in ratios]

    return measure


@pytest.mark.parametrize(
    ("ratios", "arguments", "status"),
    [
        ((2.0, 5.0), [], 0),
        ((5.0, 1.9), [], 1),
        ((5.0, 1.9), ["--json"], 1),
        ((1.9,), ["--scale", "1.0"], 1),
        ((1.9,), ["--scale", "0.1"], 0),
        ((1.9,), ["--scale", "2"], 0),
    ],
)
def test_a_missed_bar_counts_at_scale_1(ratios: Sequence[float], arguments: list[str], status: int) -> None:
    assert main(None, measuring(*ratios), arguments) == status


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    scales: list[float] = []
    main(None, measuring(3.0, 1.0, scales=scales), ["--json", "--scale", "0.25"])
    lines = capsys.readouterr().out.splitlines()
    assert [list(json.loads(line)) for line in lines] == [KEYS, KEYS]
    assert [json.loads(line)["ratio"] for line in lines] == [3.0, 1.0]
    assert scales == [0.25]


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "missed"), (3.0, "ok"), (4.0, "goal reached")])
def test_the_table_says_how_it_went(ratio: float, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(None, measuring(ratio), [])
    [_, line] = capsys.readouterr().out.splitlines()
    assert line.split()[:2] == ["made", "up"]
    assert line.rstrip().endswith(verdict)


@pytest.mark.parametrize("arguments", [["--scale", "0"], ["--scale", "much"], ["--scale", "nan"], ["--unknown"]])
def test_misuse_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(None, measuring(3.0), arguments)
    assert ending.value.code == 2


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    async def measure(scale: float) -> Sequence[Result]:
        raise Unavailable("smtp-sink is not installed")

    assert main(None, measure, ["--json"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "bench: smtp-sink is not installed\n")


async def test_both_sides_take_turns() -> None:
    turns: list[str] = []

    def side(name: str, values: list[float]) -> Side:
        async def measured() -> float:
            turns.append(name)
            return values.pop()

        return measured

    pair = await alternate(side("ours", [9.0, 1.0, 2.0]), side("theirs", [30.0, 5.0, 10.0]), rounds=3)
    assert turns == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert pair == Pair(ours=2.0, baseline=10.0)


def test_a_ratio_is_better_when_higher() -> None:
    pair = Pair(ours=2.0, baseline=10.0)
    assert pair.cost("c", "s", "other", bar=1, goal=2).ratio == 5.0
    assert pair.rate("r", "1/s", "other", bar=1, goal=2).ratio == 0.2


def test_the_render_benchmark_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.render", "--json", "--scale", "0.01"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["name"] for result in results] == ["render", "render-7bit", "sign-rsa", "sign-ed25519"]
    assert all(result["ours"] > 0 and list(result) == KEYS for result in results)

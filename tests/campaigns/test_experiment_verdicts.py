"""From numbers to decisions; pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.draft import read_draft
from campaigns.experiments.plan import Experiment, Variant
from campaigns.experiments.verdict import How, Tally, judge
from runtime.errors import Invalid
from tests.campaigns.scene import body
from tests.campaigns.test_experiments import TWO


def plan(count: int, **changes: object) -> Experiment:
    variants = tuple(Variant(str(number), {"subject": str(number)}) for number in range(count))
    return Experiment(variants, **changes)  # type: ignore[arg-type]


def clicks(*numbers: tuple[int, int]) -> list[Tally]:
    return [Tally(sent, clicked=clicked) for clicked, sent in numbers]


@pytest.mark.parametrize(
    ("tallies", "changes", "winner", "how", "leader"),
    [
        (clicks((100, 1000), (150, 1000)), {}, 1, How.SIGNIFICANT, 1),
        (clicks((100, 1000), (110, 1000)), {}, 0, How.FIRST, 1),
        (clicks((100, 1000), (110, 1000)), {"fallback": "leading"}, 1, How.LEADING, 1),
        (clicks((100, 1000), (110, 1000)), {"significance": 50.0}, 1, How.SIGNIFICANT, 1),
        (clicks((100, 1000), (100, 1000)), {"fallback": "leading"}, 0, How.FIRST, None),
        (clicks((0, 0), (0, 0)), {"fallback": "leading"}, 0, How.FIRST, None),
        (clicks((1, 1), (0, 1)), {"fallback": "leading"}, 0, How.LEADING, 0),
        # p = 0.03 of two, but one of three comparisons of three
        (clicks((100, 1000), (131, 1000)), {}, 1, How.SIGNIFICANT, 1),
        (clicks((100, 1000), (131, 1000), (105, 1000)), {}, 0, How.FIRST, 1),
        ([Tally(900, buyers=4, revenue=9e5, squares=2.1e11), Tally(900)], {"winner": "revenue"}, 0, How.FIRST, 0),
        ([Tally(900), Tally(900, buyers=90, revenue=9e5, squares=9e9)], {"winner": "revenue"}, 1, How.SIGNIFICANT, 1),
    ],
)
def test_decisions(tallies: list[Tally], changes: dict[str, object], winner: int, how: How, leader: int | None) -> None:
    found = judge(plan(len(tallies), **changes), tallies)
    assert (found.winner, found.how, found.leader) == (winner, how, leader)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=6), st.floats(50, 99.9))
def test_only_a_leader_wins_and_only_at_the_significance_asked_for(
    numbers: list[tuple[int, int]], asked: float
) -> None:
    tallies = [Tally(max(pair), clicked=min(pair)) for pair in numbers]
    found = judge(plan(len(tallies), significance=asked), tallies)
    rates = [tally.share("clicks").rate for tally in tallies]
    if found.how is How.SIGNIFICANT:
        assert rates[found.winner] == max(rates)
        assert found.p is not None
        assert found.p <= 1 - asked / 100 + 1e-9
    else:
        assert (found.winner, found.how) == (0, How.FIRST)


def test_a_deadline_before_the_decision_is_refused() -> None:
    options = {"experiment": {"variants": TWO, "wait_hours": 6}, "deadline": 5}
    with pytest.raises(Invalid, match="before the test of the experiment is decided"):
        read_draft(body(options=options))

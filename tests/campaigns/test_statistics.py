"""Tests and intervals against values that were published, and against themselves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.experiments.statistics import (
    Interval,
    Share,
    Sums,
    difference,
    holm,
    incomplete_beta,
    mean,
    mean_needs,
    means_differ,
    newcombe,
    shares_differ,
    student,
    student_quantile,
    wilson,
)


def about(value: float, digits: int) -> object:
    return pytest.approx(value, abs=0.5000001 * 10**-digits)


def sums(values: list[float]) -> Sums:
    return Sums(len(values), sum(values), sum(value * value for value in values))


# Newcombe, Statistics in Medicine 17 (1998) 857–872, table I, method 3.
@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_score_interval_of_a_share(hits: int, total: int, low: float, high: float) -> None:
    found = wilson(Share(hits, total), 0.95)
    assert (found.low, found.high) == (about(low, 4), about(high, 4))


# Newcombe, Statistics in Medicine 17 (1998) 873–890, table II, method 10.
@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        (Share(56, 70), Share(48, 80), 0.0524, 0.3339),
        (Share(9, 10), Share(3, 10), 0.1705, 0.8090),
        (Share(6, 7), Share(2, 7), 0.0582, 0.8062),
        (Share(5, 56), Share(0, 29), -0.0381, 0.1926),
        (Share(0, 10), Share(0, 20), -0.1611, 0.2775),
        (Share(10, 10), Share(0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference(one: Share, other: Share, low: float, high: float) -> None:
    found = newcombe(one, other, 0.95)
    assert (found.low, found.high) == (about(low, 4), about(high, 4))


def test_two_shares() -> None:
    salk = shares_differ(Share(57, 200_745), Share(142, 201_229))  # Francis 1955; z = 6.01
    assert salk == pytest.approx(1.86e-9, rel=0.02)
    assert shares_differ(Share(56, 70), Share(48, 80)) == about(0.00804, 4)


def test_small_counts_are_compared_exactly() -> None:
    assert shares_differ(Share(3, 4), Share(1, 4)) == about(0.4857, 4)  # Fisher's lady tasting tea, two-sided
    assert shares_differ(Share(1, 12), Share(9, 12)) == about(0.00276, 5)  # Wikipedia, "Fisher's exact test"


def test_several_tests_at_once() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


# Student's table of critical values, two-sided.
@pytest.mark.parametrize(
    ("level", "freedom", "t"),
    [(0.95, 1, 12.706), (0.95, 10, 2.228), (0.99, 5, 4.032), (0.9, 30, 1.697), (0.95, 120, 1.980)],
)
def test_student(level: float, freedom: float, t: float) -> None:
    assert student_quantile(level, freedom) == about(t, 3)
    assert student(t, freedom) == pytest.approx(1 - level, rel=1e-3)
    assert student(1.959964, 1e7) == pytest.approx(0.05, abs=1e-6)
    assert student(1.96, 99_999) == pytest.approx(student(1.96, 100_001), abs=1e-5)


def test_the_incomplete_beta() -> None:
    assert incomplete_beta(2, 3, 0.4) == pytest.approx(0.5248)  # a polynomial: 6x² − 8x³ + 3x⁴
    assert incomplete_beta(0.5, 0.5, 0.25) == pytest.approx(1 / 3)  # 2/π · asin(√x)


# Student 1908, "The probable error of a mean", and what R's manual prints for it (`t.test(extra ~ group, sleep)`).
SLEEP = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0], [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_welch() -> None:
    one, other = map(sums, SLEEP)
    assert means_differ(one, other) == about(0.07939, 5)
    found = difference(one, other, 0.95)
    assert (found.low, found.high) == (about(-3.3654832, 6), about(0.2054832, 6))


@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, 400), st.integers(1, 400))
def test_p_values_and_intervals_are_what_they_are_called(hits: int, total: int, others: int, more: int) -> None:
    one, other = Share(min(hits, total), total), Share(min(others, more), more)
    p = shares_differ(one, other)
    assert 0.0 <= p <= 1.0
    assert p == pytest.approx(shares_differ(other, one))
    found = newcombe(one, other, 0.95)
    assert -1.0 <= found.low <= found.value <= found.high <= 1.0
    assert 0.0 <= wilson(one, 0.95).low <= one.rate <= wilson(one, 0.95).high <= 1.0


@given(st.floats(0.5, 1e6), st.floats(0.0, 40.0))
def test_student_is_a_probability_that_falls(freedom: float, t: float) -> None:
    assert 0.0 <= student(t + 0.5, freedom) <= student(t, freedom) <= 1.0 + 1e-12


def test_where_nothing_differs_few_are_called_different() -> None:
    """At a level of 5% about one test in twenty errs; here 400 of each kind."""
    rng = random.Random(4)
    wrong_shares = wrong_means = covered = 0
    for _ in range(400):
        one, other = (Share(sum(rng.random() < 0.1 for _ in range(300)), 300) for _ in range(2))
        wrong_shares += shares_differ(one, other) < 0.05
        covered += newcombe(one, other, 0.95).low <= 0 <= newcombe(one, other, 0.95).high
        bought = [sums([rng.expovariate(0.01) if rng.random() < 0.2 else 0.0 for _ in range(60)]) for _ in range(2)]
        wrong_means += means_differ(*bought) < 0.05
    assert 5 <= wrong_shares <= 36
    assert 5 <= wrong_means <= 36
    assert covered >= 365


def test_a_small_group_in_which_nobody_bought_is_no_certainty() -> None:
    """Student's t with the variance pooled: 60 / 9 with 9 degrees of freedom, whose 95% lie within 2.262157."""
    many, none = sums([float(n) for n in range(1, 10)]), sums([0.0, 0.0])
    found = difference(many, none, 0.95)
    pooled = 2.262157 * (60 / 9 * (1 / 9 + 1 / 2)) ** 0.5
    assert (found.value, found.low, found.high) == (5.0, about(5 - pooled, 4), about(5 + pooled, 4))
    assert 0.02 < means_differ(many, none) < 0.05  # t = 2.477, between the table's 2.262 and 2.821; Welch says 0.0006
    alone = difference(many, sums([0.0]), 0.95)
    assert alone.low < 0 < alone.high


def test_intervals_beside_a_small_group_cover_what_they_say() -> None:
    """2,000 who got it, 40 held out, one in twenty buys in both: Welch's interval alone covers 0 in 69 of 100 cases."""
    rng = random.Random(7)
    covered = 0
    for _ in range(300):
        one, other = (
            sums([rng.expovariate(0.01) if rng.random() < 0.05 else 0.0 for _ in range(people)])
            for people in (2_000, 40)
        )
        found = difference(one, other, 0.95)
        covered += found.low <= 0 <= found.high
    assert covered >= 280


def test_how_many_a_mean_needs() -> None:
    """Cochran: 25 × skewness²; 25 × 4 for an exponential distribution, 25 × (1 − 2p)² / p(1 − p) for a share."""
    rng = random.Random(3)
    values = [rng.expovariate(1) for _ in range(200_000)]
    assert mean_needs(sums(values), sum(value**3 for value in values)) == pytest.approx(100, rel=0.1)
    assert mean_needs(Sums(100, 10, 10), 10) == math.ceil(25 * 0.8**2 / (0.1 * 0.9))
    assert mean_needs(Sums(0, 0, 0), 0) == mean_needs(Sums(5, 5, 5), 5) == 2


def test_means_and_their_difference() -> None:
    values = sums([3.0, 5.0, 7.0])
    assert mean(values, 0.95) == Interval(
        5.0, pytest.approx(5 - 4.303 * 2 / 3**0.5, abs=1e-3), pytest.approx(9.968, abs=1e-2)
    )
    found = difference(values, sums([1.0, 1.0, 1.0]), 0.95)
    assert (found.value, found.low) == (4.0, pytest.approx(4 - 4.303 * 2 / 3**0.5, abs=1e-3))
    assert means_differ(values, sums([])) == 1.0

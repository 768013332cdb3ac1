"""Tests and intervals for shares and means; pure, from counts and sums alone.

The normal distribution is the standard library's; Student's t comes from the incomplete beta function (DLMF 8.17).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_EXPECTED = 10.0  # where a cell of the table expects fewer (twice what Cochran 1954 asks for), the test is exact
_PRECISION = 1e-12
_MOST_STEPS = 2_000
_AS_GOOD_AS_NORMAL = 100_000.0  # degrees of freedom
_COCHRAN = 25.0  # a mean's interval at 95% errs in 6% of cases at most from 25 × skewness² on (Cochran 1977, p. 42)


@dataclass(frozen=True)
class Interval:
    """`low` to `high` around `value`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Share:
    """`hits` of `total`."""

    hits: int
    total: int

    @property
    def rate(self) -> float:
        return self.hits / self.total if self.total else 0.0


@dataclass(frozen=True)
class Sums:
    """A sample by its size, its sum and the sum of its squares."""

    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    @property
    def error(self) -> float:
        """The variance of the mean (of the sample, with n − 1)."""
        if self.count < 2:
            return 0.0
        return max(self.squares - self.total * self.total / self.count, 0.0) / (self.count - 1) / self.count


def wilson(share: Share, level: float) -> Interval:
    """A share with its score interval at `level`, 0 to 1 (Wilson 1927). Nothing at all is known of nobody."""
    if share.total == 0:
        return Interval(0.0, 0.0, 1.0)
    z, n, rate = _z(level), share.total, share.rate
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if share.hits == 0 else max(middle - half, 0.0)
    high = 1.0 if share.hits == n else min(middle + half, 1.0)
    return Interval(rate, low, high)


def newcombe(one: Share, other: Share, level: float) -> Interval:
    """The difference of two shares with its hybrid score interval (Newcombe 1998, method 10)."""
    a, b = wilson(one, level), wilson(other, level)
    difference = a.value - b.value
    low = difference - math.hypot(a.value - a.low, b.high - b.value)
    high = difference + math.hypot(a.high - a.value, b.value - b.low)
    return Interval(difference, low, high)


def shares_differ(one: Share, other: Share) -> float:
    """The two-sided p-value of equal shares: the pooled z-test (Fleiss 1981), Fisher's exact test for small counts."""
    if one.total == 0 or other.total == 0:
        return 1.0
    total, hits = one.total + other.total, one.hits + other.hits
    if hits in (0, total):
        return 1.0
    if min(one.total, other.total) * min(hits, total - hits) / total < _EXPECTED:
        return _fisher(one, other)
    pooled = hits / total
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.total + 1 / other.total))
    return math.erfc(abs(one.rate - other.rate) / error / math.sqrt(2))


def means_differ(one: Sums, other: Sums) -> float:
    """The two-sided p-value of equal means, by the more doubtful of two tests: whatever the variances (Welch 1947), and
    with a common one (Student 1908). Welch alone takes a small sample in which nobody bought for a certainty."""
    if min(one.count, other.count) < 2:
        return 1.0
    apart = abs(one.mean - other.mean)
    return max((student(apart / error, freedom) for error, freedom in _errors(one, other)), default=1.0)


def mean(sums: Sums, level: float) -> Interval:
    """A mean with its interval by Student's t."""
    half = student_quantile(level, sums.count - 1) * math.sqrt(sums.error) if sums.count > 1 else 0.0
    return Interval(sums.mean, sums.mean - half, sums.mean + half)


def difference(one: Sums, other: Sums, level: float) -> Interval:
    """The difference of two means with the wider of Welch's and Student's intervals; see `means_differ`."""
    found = one.mean - other.mean
    halves = (student_quantile(level, freedom) * error for error, freedom in _errors(one, other))
    half = max(halves, default=0.0)
    return Interval(found, found - half, found + half)


def mean_needs(sums: Sums, cubes: float) -> int:
    """How many a sample of this kind must have at least before an interval of its mean can be trusted, by its skewness
    (Cochran 1977, Sampling Techniques, section 2.15). `cubes`: the sum of the cubes."""
    n, centre = sums.count, sums.mean
    variance = sums.squares / n - centre * centre if n else 0.0
    if variance <= 0.0:
        return 2
    third = cubes / n - 3 * centre * sums.squares / n + 2 * centre**3
    return max(2, math.ceil(_COCHRAN * third * third / variance**3))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several tests, adjusted so that none is small by their number alone (Holm 1979)."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = highest
    return adjusted


def student(t: float, freedom: float) -> float:
    """The probability that |T| is `t` at least, by degrees of freedom (Abramowitz & Stegun 26.7.1, 26.5.27)."""
    if freedom > _AS_GOOD_AS_NORMAL:
        return math.erfc(t / math.sqrt(2))
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def student_quantile(level: float, freedom: float) -> float:
    """The t within which |T| stays with probability `level`."""
    low, high = 0.0, 1.0
    while student(high, freedom) > 1 - level:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > 1 - level else (low, middle)
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other side converges faster (DLMF 8.17.4)
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    return front / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + n₁ / (1 + n₂ / …)) from front to back (Lentz 1976)."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, _MOST_STEPS):
        m = step // 2
        if step % 2 == 0:
            term = m * (b - m) * x / ((a + step - 1) * (a + step))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + step - 1) * (a + step))
        d = 1.0 / _nonzero(1.0 + term * d)
        c = _nonzero(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return 1.0 / value


def _nonzero(value: float) -> float:
    return value if abs(value) > 1e-30 else 1e-30


def _errors(one: Sums, other: Sums) -> list[tuple[float, float]]:
    """The standard errors of the difference of two means that are not zero, with their degrees of freedom: of Welch and
    Satterthwaite, and with the variance pooled."""
    found = []
    error = one.error + other.error
    if parts := sum(each.error**2 / (each.count - 1) for each in (one, other) if each.count > 1):
        found.append((math.sqrt(error), error**2 / parts))
    freedom = one.count + other.count - 2
    if freedom > 0 and one.count and other.count:
        pooled = sum(each.error * each.count * (each.count - 1) for each in (one, other)) / freedom
        found.append((math.sqrt(pooled * (1 / one.count + 1 / other.count)), float(freedom)))
    return [each for each in found if each[0] > 0.0]


def _fisher(one: Share, other: Share) -> float:
    """The chance, with the same margins, of a table no likelier than this one (Fisher 1934)."""
    hits, total = one.hits + other.hits, one.total + other.total

    def chance(first: int) -> float:
        ways = _ways(one.total, first) + _ways(other.total, hits - first)
        return math.exp(ways - _ways(total, hits))

    own = chance(one.hits) * (1 + 1e-7)  # so that equally likely tables are not told apart by rounding
    possible = range(max(0, hits - other.total), min(hits, one.total) + 1)
    return min(1.0, sum(each for first in possible if (each := chance(first)) <= own))


def _ways(total: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _z(level: float) -> float:
    return _NORMAL.inv_cdf(0.5 + level / 2)

"""Whether those who bought before will buy again: BG/NBD (Fader, Hardie and Lee 2005, Marketing Science 24:275–284).

While somebody is active they buy at a rate of their own, and after each purchase they may leave for good. Rates are
gamma distributed over the customers (shape `r`, scale `alpha`), chances of leaving beta (`a`, `b`). Of each customer
three numbers are needed: `repeats`, purchases after the first; `recency`, from the first to the last; `age`, from the
first until now, both in weeks. Nothing here reads or writes; arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

Numbers = NDArray[np.float64]

_START = (1.0, 1.0, 1.0, 1.0)
_LARGEST = 1e4  # a parameter that runs away: the data do not hold what it stands for


@dataclass(frozen=True)
class Histories:
    """What is known of customers, one place each; `count`: how many of them are alike."""

    repeats: Numbers
    recency: Numbers
    age: Numbers
    count: Numbers


@dataclass(frozen=True)
class Model:
    """The four parameters; `alpha` in weeks."""

    r: float
    alpha: float
    a: float
    b: float


class NoFit(ValueError):
    """The likelihood has no maximum within reason."""


def fit(histories: Histories) -> Model:
    """The parameters under which these histories are likeliest. Raises NoFit."""
    scale = max(float(histories.age.mean()), 1e-9)  # so that all four are of one size
    scaled = Histories(histories.repeats, histories.recency / scale, histories.age / scale, histories.count)
    total = float(histories.count.sum())

    def unlikely(logs: Numbers) -> float:
        return -log_likelihood(_model(logs), scaled) / total

    within = [(np.log(1e-6), np.log(_LARGEST))] * 4
    found: Any = minimize(unlikely, np.log(_START), method="L-BFGS-B", bounds=within, options={"ftol": 1e-13})
    model = _model(found.x)
    if not found.success or max(model.r, model.alpha, model.a, model.b) > 0.99 * _LARGEST:
        raise NoFit("purchases do not tell a rate and an end apart")
    return Model(model.r, model.alpha * scale, model.a, model.b)


def log_likelihood(model: Model, of: Histories) -> float:
    """Equation (6) of the paper, summed, in logarithms that neither overflow nor vanish."""
    r, alpha, a, b, x = model.r, model.alpha, model.a, model.b, of.repeats
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    staying = -(r + x) * np.log(alpha + of.age)
    left = np.where(x > 0, np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + of.recency), -np.inf)
    return float(np.dot(of.count, common + np.logaddexp(staying, left)))


def chance_active(model: Model, repeats: Numbers, recency: Numbers, age: Numbers) -> Numbers:
    """P(alive | history), from 0 to 1; who bought once is certain to be active under this model."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    odds = np.log(a) - np.log(b + np.maximum(repeats, 1) - 1)
    odds += (r + repeats) * (np.log(alpha + age) - np.log(alpha + recency))
    return np.asarray(1 / (1 + np.where(repeats > 0, np.exp(np.minimum(odds, 700)), 0)))


def expected_purchases(model: Model, weeks: float, repeats: Numbers, recency: Numbers, age: Numbers) -> Numbers:
    """E(purchases in the next `weeks` | history), equation (10) of the paper.

    Where the hypergeometric function is out of reach: as if nobody left who is still there, which is never less.
    """
    r, alpha, b, x = model.r, model.alpha, model.b, repeats
    a = model.a if abs(model.a - 1) > 1e-6 else 1 + 1e-6  # the limit at 1 is smooth, its formula is not
    alive = chance_active(model, repeats, recency, age)
    with np.errstate(all="ignore"):
        series = hyp2f1(r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks))
        rest = np.exp((r + x) * (np.log(alpha + age) - np.log(alpha + age + weeks))) * series
        found = (a + b + x - 1) / (a - 1) * (1 - rest) * alive
    simple = alive * (r + x) / (alpha + age) * weeks
    return np.asarray(np.where(np.isfinite(found) & (found >= 0), np.minimum(found, simple), simple))


def _model(logs: Numbers) -> Model:
    r, alpha, a, b = (float(value) for value in np.exp(logs))
    return Model(r, alpha, a, b)

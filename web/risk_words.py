"""The risk of losing a customer, in a sentence that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from customers.chances import FEWEST, TOO_FEW, Estimate
from web.i18n import _
from web.view import number, percent

SAFE, DOUBTFUL = 0.7, 0.4


@dataclass(frozen=True)
class Risk:
    """`level`: good, warn, bad, or neutral where nothing can be said; `label` names it, `why` says on what grounds."""

    level: str
    label: str
    why: str


def risk_of(activity: Mapping[str, Any], estimate: Estimate | None, now: datetime) -> Risk | None:
    """Of a customer by their folds (`customers.reading`); None for somebody who never bought."""
    if activity["last_order_at"] is None:
        return None
    if activity["chance_active"] is None:
        return Risk("neutral", _("not known"), _lacking(activity, estimate))
    chance = float(activity["chance_active"])
    level = level_of(chance)
    since = max((now - activity["last_order_at"]).days, 0)  # of what is only due, it is still to come
    why = _(
        "They order every %(gap)s days or so, and the last order was %(since)s days ago: by what customers like them "
        "did, the chance that they still buy is %(chance)s, with %(orders)s orders to expect within a year.",
        gap=number(activity["order_gap_days"], 0),
        since=number(since, 0),
        chance=percent(chance, 0),
        orders=number(activity["orders_expected"], 1),
    )
    return Risk(level, {"good": _("low"), "warn": _("medium"), "bad": _("high")}[level], why)


def level_of(chance: float | Decimal) -> str:
    """How good a chance is that they still buy: good, warn or bad."""
    return "good" if chance >= SAFE else "warn" if chance >= DOUBTFUL else "bad"


def _lacking(activity: Mapping[str, Any], estimate: Estimate | None) -> str:
    if activity["order_gap_days"] is None:
        return _("They bought once: there is no rhythm yet to judge by.")
    if estimate is None or estimate.model is not None:
        return _("They ordered since the last estimate, or there was none yet: it is made once a day.")
    if estimate.lacking == TOO_FEW:
        return _(
            "Too few customers have come back so far to estimate chances: %(count)s of %(needed)s.",
            count=number(estimate.came_back, 0),
            needed=number(FEWEST, 0),
        )
    return _("Customers come back so evenly that nothing tells who has left.")

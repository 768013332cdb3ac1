"""What a test of variants led to, and what a campaign sold beyond those held out, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from web.i18n import N_, _
from web.view import moment, money, number, percent

GOALS: Mapping[str, str] = {"clicks": N_("clicks"), "opens": N_("opens"), "revenue": N_("revenue a head")}

Outcome = Mapping[str, Any]


def decision(outcome: Outcome) -> str:
    """The test of one run (campaigns.experiments.outcome)."""
    goal = GOALS[outcome["goal"]]
    values = {
        "winner": outcome["winner"],
        "leader": outcome["leader"],
        "goal": _(goal),
        "by": outcome["decided_by"],
        "at": moment(outcome["due_at"]),
        "waiting": number(outcome["rest"]["waiting"]),
        "chance": "" if outcome["p"] is None else percent(outcome["p"], 2),
        "asked": percent(1 - outcome["significance"] / 100, 2),
    }
    return _SAID[_case(outcome)](values)


def rate(interval: Mapping[str, float]) -> str:
    """A share with its interval."""
    return _interval(interval, percent)


def percents(variants: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """One rate of each variant, for a chart."""
    return [round(100 * variant[name]["value"], 2) for variant in variants]


def a_head(interval: Mapping[str, float]) -> str:
    """Money with its interval."""
    return _interval(interval, money)


def lift_said(lift: Mapping[str, Any]) -> str:
    """What the message did, or that nobody can tell."""
    sent, held = lift["sent"], lift["held_out"]
    if lift["people_needed"] is not None and not lift["enough"]:
        return _too_small(lift)
    values = {
        "days": lift["days"],
        "sent": percent(sent["buyer_rate"], 2),
        "held": percent(held["buyer_rate"], 2),
        "buyers": number(sent["buyers"] + held["buyers"]),
        "low": percent(lift["buyer_rate"]["low"], 2),
        "high": percent(lift["buyer_rate"]["high"], 2),
    }
    if not lift["enough"]:
        return _("Too few bought to tell what the message did: %(buyers)s in both groups together.", **values)
    compared = _("Within %(days)s days %(sent)s of those who got it bought, and %(held)s of those held out.", **values)
    if not lift["proved"]:
        return compared + " " + _("The difference, from %(low)s to %(high)s, may be chance.", **values)
    if lift["buyer_rate"]["value"] < 0:
        return compared + " " + _("It kept people from buying: by %(low)s to %(high)s.", **values)
    return compared + " " + _("The message made the difference: %(low)s to %(high)s more.", **values)


def revenue_doubt(lift: Mapping[str, Any]) -> str:
    """Why the interval of revenue a head cannot be trusted; "" where it can, or where nothing can."""
    if not lift["enough"] or lift["enough_for_revenue"]:
        return ""
    return _(
        "Revenue a head is no proof yet: a few large orders sway it in a group of %(people)s; it would take about"
        " %(needed)s.",
        people=number(_smaller(lift)),
        needed=number(lift["people_needed_for_revenue"]),
    )


def _too_small(lift: Mapping[str, Any]) -> str:
    people, needed = number(_smaller(lift)), number(lift["people_needed"])
    if lift["held_out"]["people"] <= lift["sent"]["people"]:
        return _(
            "Too few were held out to tell what the message did: %(people)s; with so few buyers it takes about"
            " %(needed)s.",
            people=people,
            needed=needed,
        )
    return _(
        "Too few got it to tell what the message did: %(people)s; with so few buyers it takes about %(needed)s.",
        people=people,
        needed=needed,
    )


def _smaller(lift: Mapping[str, Any]) -> int:
    return min(int(lift[group]["people"]) for group in ("sent", "held_out"))


def _case(outcome: Outcome) -> str:
    if outcome["state"] == "testing":
        return "testing"
    unknown = outcome["how"] in ("first", "leading") and outcome["p"] is None
    return f"{outcome['how']}_unknown" if unknown else str(outcome["how"])


def _interval(found: Mapping[str, float], shown: Callable[[Decimal], str]) -> str:
    value, low, high = (shown(Decimal(str(found[name]))) for name in ("value", "low", "high"))
    return _("%(value)s (%(low)s to %(high)s)", value=value, low=low, high=high)


_Values = Mapping[str, Any]

_SAID: Mapping[str, Callable[[_Values], str]] = {
    "testing": lambda values: _(
        "The test goes on: %(at)s it is decided by %(goal)s; %(waiting)s people wait for that.", **values
    ),
    "significant": lambda values: _(
        "%(winner)s won by %(goal)s and goes to the rest: by chance alone such a lead has a probability of %(chance)s.",
        **values,
    ),
    "first": lambda values: _(
        "Undecided: %(leader)s led by %(goal)s, but chance alone does that with a probability of %(chance)s, and at"
        " most %(asked)s was asked for. The rest gets the first variant, %(winner)s.",
        **values,
    ),
    "leading": lambda values: _(
        "Undecided: %(leader)s led by %(goal)s, but chance alone does that with a probability of %(chance)s, and at"
        " most %(asked)s was asked for. The rest gets it all the same, as agreed.",
        **values,
    ),
    "first_unknown": lambda values: _(
        "Too little happened to tell which variant is best. The rest gets the first one, %(winner)s.", **values
    ),
    "leading_unknown": lambda values: _(
        "Too little happened to tell which variant is best. The rest gets the one that led, %(winner)s.", **values
    ),
    "by_hand": lambda values: _("%(by)s chose %(winner)s for the rest.", **values),
    "stopped": lambda values: _("%(by)s stopped the test: the rest gets nothing.", **values),
    "cancelled": lambda values: _("The campaign was cancelled before the test was decided."),
}

"""Surveys in people's words: what is asked, what an answer means, how answers are summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from customers.surveys import DETRACTOR, PASSIVE, PROMOTER, SURVEYS, nps_group
from web.i18n import N_, _

NAMES: Mapping[str, str] = {"csat": N_("Satisfaction"), "nps": N_("Recommendation (NPS)")}
QUESTIONS: Mapping[str, str] = {
    "csat": N_("How satisfied are you with our service?"),
    "nps": N_("How likely are you to recommend us to a friend or colleague?"),
}
ENDS: Mapping[str, tuple[str, str]] = {
    "csat": (N_("very dissatisfied"), N_("very satisfied")),
    "nps": (N_("not at all likely"), N_("very likely")),
}
LEVELS: Mapping[int, str] = {
    1: N_("very dissatisfied"),
    2: N_("dissatisfied"),
    3: N_("neither satisfied nor dissatisfied"),
    4: N_("satisfied"),
    5: N_("very satisfied"),
}
GROUPS: Mapping[str, str] = {PROMOTER: N_("promoters"), PASSIVE: N_("passives"), DETRACTOR: N_("detractors")}


def survey_name(survey: str) -> str:
    return _(NAMES[survey]) if survey in NAMES else survey


def survey_question(survey: str) -> str:
    return _(QUESTIONS[survey])


def survey_ends(survey: str) -> tuple[str, str]:
    """What the lowest and the highest answer mean."""
    worst, best = ENDS[survey]
    return _(worst), _(best)


def answer_meaning(survey: str, score: int) -> str:
    """What an answer says, where it has a word."""
    if survey == "csat":
        return _(LEVELS[score])
    worst, best = survey_ends(survey)
    return {SURVEYS[survey].low: worst, SURVEYS[survey].high: best}.get(score, "")


def answer_label(survey: str, score: int) -> str:
    """An answer for those who hear it: `4 of 5: satisfied`."""
    meaning = answer_meaning(survey, score)
    values = {"score": score, "most": SURVEYS[survey].high}
    if not meaning:
        return _("%(score)s of %(most)s", **values)
    return _("%(score)s of %(most)s: %(meaning)s", meaning=meaning, **values)


def group_name(group: str) -> str:
    return _(GROUPS[group])


def answer_look(survey: str, score: int) -> str:
    """The colour of an answer: good, fair or bad."""
    if survey == "nps":
        return {PROMOTER: "good", PASSIVE: "fair", DETRACTOR: "bad"}[nps_group(score)]
    return "bad" if score <= SURVEYS[survey].bad else "fair" if score == 3 else "good"


GLOBALS: Mapping[str, Callable[..., Any]] = {
    "survey_name": survey_name,
    "survey_question": survey_question,
    "survey_ends": survey_ends,
    "answer_meaning": answer_meaning,
    "answer_label": answer_label,
    "answer_look": answer_look,
    "group_name": group_name,
}

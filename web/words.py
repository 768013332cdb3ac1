"""Stored words as people say them: what happened, why somebody was left out, over which channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from campaigns.content.surveys import survey_of
from customers.topics import Topic
from web.i18n import N_, _, current_language
from web.survey_words import survey_name
from web.told import told
from web.view import hour
from web.vocabulary import channel_label, field_label

_FIELD = re.compile(r"{{.*?}}")

EVENTS: Mapping[str, str] = {
    "opened": N_("Opened"),
    "clicked": N_("Clicked"),
    "viewed": N_("Viewed in a browser"),
    "page_visit": N_("Visited a page of the shop"),
    "unsubscribed": N_("Unsubscribed"),
    "resubscribed": N_("Subscribed again"),
    "bounced": N_("Bounced"),
    "complained": N_("Complained"),
    "replied": N_("Replied"),
}

REASONS: Mapping[str, str] = {
    "no_address": N_("no address"),
    "no_consent": N_("never consented"),
    "unsubscribed": N_("unsubscribed"),
    "suppressed": N_("suppressed"),
    "bounced": N_("address bounced"),
    "complained": N_("complained"),
    "manual": N_("suppressed by hand"),
    "holdout": N_("held out for comparison"),
    "segment_holdout": N_("held out for comparison, by the segment"),
    "global_holdout": N_("held out of all campaigns"),
    "open_service": N_("open service case or complaint"),
    "duplicate_address": N_("address already written to"),
    "same_household": N_("somebody of the household got it"),
    "frequency_cap": N_("frequency cap"),
    "paused": N_("paused by themselves"),
    "topic": N_("wants nothing about this topic"),
    "frequency_wish": N_("as many messages as they asked for"),
    "erased": N_("erased"),
    "deadline": N_("the deadline passed"),
}

CAPPED: Mapping[str, tuple[str, str]] = {  # over all channels, over one
    "day": (N_("enough messages that day"), N_("enough messages that day over %(channel)s")),
    "week": (N_("enough messages that week"), N_("enough messages that week over %(channel)s")),
    "month": (N_("enough messages that month"), N_("enough messages that month over %(channel)s")),
}

VISITS: Mapping[str, str] = {
    "repair": N_("Repair"),
    "installation": N_("Installation"),
    "maintenance": N_("Maintenance"),
    "cleaning": N_("Cleaning"),
    "complaint": N_("Complaint"),
}

GENDERS: Mapping[str, str] = {"male": N_("male"), "female": N_("female")}


def link_name(link: str) -> str:
    """A link as people may read it: an answer to a survey by what it says, and what stands for each recipient's own is
    left out."""
    asked = survey_of(link)
    if asked is None:
        return _FIELD.sub("…", link)
    survey, score = asked
    if score is None:
        return _("Survey: %(said)s", said=survey_name(survey.name))
    return _("Survey: %(said)s", said=_("%(score)s of %(most)s", score=score, most=survey.high))


def event_name(kind: str) -> str:
    return _said(EVENTS, kind)


def reason_name(reason: str) -> str:
    """Why somebody got nothing; a server's own words stay as they are."""
    head, _colon, rest = reason.partition(": ")
    if head == "suppressed" and rest in REASONS:
        return _said(REASONS, rest)
    channel, _space, period = rest.partition(" ")
    if head == "frequency_cap" and period in CAPPED:
        over_all, over_one = CAPPED[period]
        return _(over_all) if channel == "all" else _(over_one, channel=channel_name(channel))
    if head in ("topic", "frequency_wish"):
        return _(REASONS[head])
    return _(REASONS[reason]) if reason in REASONS else told(reason)


def visit_name(kind: str) -> str:
    return _said(VISITS, kind)


def gender_name(gender: str) -> str:
    return _said(GENDERS, gender)


def channel_name(channel: str | None) -> str:
    return channel_label(channel or "")


def topic_name(topic: Topic) -> str:
    """A topic's name in the language in use."""
    return topic.name_zh if current_language() == "zh" and topic.name_zh else topic.name


def hour_labels(hours: Sequence[Mapping[str, Any]]) -> list[str]:
    """The hours of a series as a chart names them."""
    return [hour(one["at"]) for one in hours]


def year_labels(count: int) -> list[str]:
    """Ages in years, the last one open."""
    return [*(str(year) for year in range(count - 1)), _("%(years)s and more", years=count - 1)]


def _said(words: Mapping[str, str], word: str) -> str:
    return _(words[word]) if word in words else word


GLOBALS: Mapping[str, Callable[..., Any]] = {
    "event_name": event_name,
    "link_name": link_name,
    "reason_name": reason_name,
    "visit_name": visit_name,
    "gender_name": gender_name,
    "channel_name": channel_name,
    "field_label": field_label,
    "topic_name": topic_name,
    "hour_labels": hour_labels,
    "year_labels": year_labels,
}

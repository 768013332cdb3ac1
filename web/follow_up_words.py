"""Follow-ups in words: why, what came of it, by which rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from campaigns.content.surveys import survey_of
from sales.rules import READY_CODES
from web.i18n import N_, _, ngettext
from web.survey_words import answer_label
from web.view import ago, day
from web.words import event_name, link_name, visit_name

OUTCOMES: Mapping[str, tuple[str, str]] = {  # word, icon
    "called": (N_("Called"), "phone"),
    "visited": (N_("Visited"), "home"),
    "wechat": (N_("WeChat"), "brand-wechat"),
    "ordered": (N_("Ordered"), "shopping-cart"),
    "not_interested": (N_("Not interested"), "thumb-down"),
}
STATES: Mapping[str, str] = {
    "open": N_("to do"),
    "late": N_("late"),
    "waiting": N_("waits for room"),
    "done": N_("done"),
    "expired": N_("let go"),
}
SIGNALS: Mapping[str, str] = {
    "event": N_("They did something (opened, clicked, visited a page)"),
    "visit": N_("A service visit or complaint waits too long"),
    "rating": N_("They gave a bad rating"),
    "standing": N_("None: whoever the rule is about, as there is room"),
}
RULES: Mapping[str, tuple[str, str]] = {  # name, advice of the ready-made ones as long as nobody wrote others
    "bad_rating": (N_("Bad rating"), N_("Apologise, listen, and say what will be done by when.")),
    "complaint": (
        N_("Complaint not answered in time"),
        N_("Call today; a complaint that is answered keeps the household."),
    ),
    "visit_overdue": (
        N_("Service visit not made in time"),
        N_("Ask the provider for a time, and tell the customer."),
    ),
    "replacement": (
        N_("Interest in a replacement"),
        N_("Offer a look at the old appliance and a trade-in price."),
    ),
    "warranty_ending": (
        N_("Warranty ends, and they clicked"),
        N_("Offer the check before the warranty ends, and an extension."),
    ),
    "filter_due": (N_("Filter due, and they clicked"), N_("Send the right filter, or a date for changing it.")),
    "lost_order_risk": (N_("May be lost"), N_("Ask how the appliances are; they used to buy more often.")),
}
LONGEST_LINK = 48


def outcome_name(outcome: str | None) -> str:
    return _(OUTCOMES[outcome][0]) if outcome is not None and outcome in OUTCOMES else outcome or ""


def follow_up_state(state: str) -> str:
    return _(STATES[state]) if state in STATES else state


def rule_words(code: str, rules: Mapping[str, Any]) -> tuple[str, str]:
    """Name and advice of the rule with this code among `rules`; a rule that is gone is called by its code."""
    rule = rules.get(code)
    if rule is None:
        return (_(RULES[code][0]), "") if code in RULES else (code, "")
    known = RULES.get(code) if code in READY_CODES else None
    own = (rule.name, rule.advice)
    if known is None:
        return own
    return tuple(_(said) if said in known else said for said in own)  # type: ignore[return-value]


def because(evidence: Sequence[Mapping[str, Any]], categories: Mapping[str, str], today: date) -> list[dict[str, Any]]:
    """The evidence as {"text", "campaign_id"}: what happened and what they own, the most telling first."""
    return [
        {"text": text, "campaign_id": item.get("campaign_id")}
        for item in evidence
        for text in [_LINES.get(item["kind"], _nothing)(item, categories, today)]
        if text
    ]


def _event(item: Mapping[str, Any], categories: Mapping[str, str], today: date) -> str:
    values = {"campaign": item.get("campaign") or _("a message")}
    count = int(item["count"])
    if item["event"] == "opened":
        return ngettext("opened “%(campaign)s” %(num)s time", "opened “%(campaign)s” %(num)s times", count, **values)
    if item["event"] == "clicked":
        values["link"] = _link(item.get("link") or "", categories)
        return ngettext(
            "clicked %(link)s in “%(campaign)s” %(num)s time",
            "clicked %(link)s in “%(campaign)s” %(num)s times",
            count,
            **values,
        )
    return _("%(event)s × %(count)s", event=event_name(item["event"]), count=count)


def _link(link: str, categories: Mapping[str, str]) -> str:
    """What a link is about: a category that it names, else its address, shortened."""
    named = next((name for code, name in categories.items() if code in link.casefold().replace("-", "_")), None)
    if survey_of(link):
        return link_name(link)
    parts = urlsplit(link_name(link))
    plain = f"{parts.netloc}{parts.path}".rstrip("/")
    return named or (plain if len(plain) <= LONGEST_LINK else plain[:LONGEST_LINK] + "…")


def _visit(item: Mapping[str, Any], categories: Mapping[str, str], today: date) -> str:
    values = {"visit": visit_name(item["visit"] or ""), "ago": ago(datetime.fromisoformat(item["at"]))}
    if item.get("provider"):
        return _("%(visit)s asked for %(ago)s, not done by %(provider)s", provider=item["provider"], **values)
    return _("%(visit)s asked for %(ago)s, not done", **values)


def _rating(item: Mapping[str, Any], categories: Mapping[str, str], today: date) -> str:
    answer = answer_label(item["survey"], item["score"])
    if item.get("comment"):
        return _("rated: %(answer)s, “%(comment)s”", answer=answer, comment=item["comment"])
    return _("rated: %(answer)s", answer=answer)


def _appliance(item: Mapping[str, Any], categories: Mapping[str, str], today: date) -> str:
    kind = categories.get(item["category"], item["category"] or _("appliance"))
    said = [f"{item['brand']} {kind}" if item.get("brand") else kind]
    if item.get("installed_on"):
        years = (today - date.fromisoformat(item["installed_on"])).days // 365
        said.append(ngettext("%(num)s year old", "%(num)s years old", years))
    if item.get("repairs"):
        said.append(ngettext("%(num)s repair", "%(num)s repairs", item["repairs"]))
    for name, words in (
        ("warranty_until", N_("warranty until %(day)s")),
        ("consumable_due_on", N_("filter due %(day)s")),
    ):
        if item.get(name):
            said.append(_(words, day=day(date.fromisoformat(item[name]))))
    return ", ".join(said)


def _nothing(item: Mapping[str, Any], categories: Mapping[str, str], today: date) -> str:
    return ""


_LINES: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, str], date], str]] = {
    "event": _event,
    "visit": _visit,
    "rating": _rating,
    "appliance": _appliance,
}

GLOBALS: Mapping[str, Callable[..., Any]] = {
    "outcome_name": outcome_name,
    "follow_up_state": follow_up_state,
    "rule_words": rule_words,
    "because": because,
}

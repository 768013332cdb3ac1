"""The workspace's contact rules: frequency caps, quiet hours, the holdout of all campaigns, the service hold."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from campaigns.respect.rules import contact_rules_now, save_contact_rules
from web.access import READERS, Route
from web.api.contract import Ask, Body, call

ROUTES: list[Route] = []

_CAPS = 'at most so many messages to one person: {"all" or a channel: {"day", "week", "month"}}'
_QUIET = 'by channel, on the recipient\'s clock: [{"from": "20:00", "to": "08:00", "days"?: [1, …, 7]}]'
_HOLDOUT = "share of customers that gets no campaign at all"
_SERVICE = "for how many days at most an open service case holds promotion back; 0: not at all"


class ContactRulesIn(Body):
    """What is left out takes its default."""

    frequency_caps: Any = Field(None, description=_CAPS)
    quiet_hours: Any = Field(None, description=_QUIET)
    holdout_percent: Any = Field(None, description=_HOLDOUT)
    service_hold_days: Any = Field(None, description=_SERVICE)


class ContactRules(BaseModel):
    frequency_caps: dict[str, dict[str, int]] = Field(description=_CAPS)
    quiet_hours: dict[str, list[dict[str, Any]]] = Field(description=_QUIET)
    holdout_percent: float = Field(description=_HOLDOUT)
    service_hold_days: int = Field(description=_SERVICE)


@call(ROUTES, "GET", "/contact-rules", name="get_contact_rules", answer=ContactRules, allow=READERS)
async def show(ask: Ask) -> Any:
    """The rules that every campaign obeys unless it is told not to."""
    return (await contact_rules_now(ask.conn)).to_json()


@call(ROUTES, "PUT", "/contact-rules", name="put_contact_rules", body=ContactRulesIn, answer=ContactRules)
async def replace(ask: Ask) -> Any:
    """Put these rules in place of those that stand; they count from the next message on."""
    given = ask.body.model_dump(exclude_unset=True)
    return (await save_contact_rules(ask.conn, given, by=ask.viewer.name, now=ask.now)).to_json()

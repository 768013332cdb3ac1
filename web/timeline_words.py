"""The timeline in the console: what may be looked at, which icon a kind has, and its days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from starlette.requests import Request

from customers.timeline import Entry, Looked
from runtime.registry import channel_kinds
from web.i18n import N_

ICONS: Mapping[str, str] = {
    "order": "shopping-cart",
    "service_visit": "tool",
    "consent_granted": "circle-check",
    "consent_withdrawn": "circle-x",
    "appliance_installed": "device-desktop",
    "appliance_purchased": "device-desktop",
    "message": "mail",
    "opened": "mail-opened",
    "clicked": "click",
    "viewed": "eye",
    "page_visit": "world",
    "unsubscribed": "mail-off",
    "resubscribed": "mail-check",
    "bounced": "mail-x",
    "complained": "alert-triangle",
    "replied": "message",
    "suppression_lifted": "mail-check",
    "segment_entered": "user-plus",
    "segment_left": "user-minus",
    "rated": "star",
    "follow_up": "checkbox",
}

GROUPS: Mapping[str, tuple[str, frozenset[str]]] = {
    "messages": (N_("Messages"), frozenset({"message"})),
    "seen": (N_("Opens and clicks"), frozenset({"opened", "clicked", "viewed", "page_visit"})),
    "answers": (
        N_("Replies, bounces, complaints"),
        frozenset({"replied", "bounced", "complained", "unsubscribed", "resubscribed"}),
    ),
    "orders": (N_("Orders and refunds"), frozenset({"order"})),
    "service": (N_("Service visits"), frozenset({"service_visit"})),
    "follow_ups": (N_("Follow-ups: calls and visits"), frozenset({"follow_up"})),
    "ratings": (N_("Survey answers"), frozenset({"rated"})),
    "appliances": (N_("Appliances"), frozenset({"appliance_installed", "appliance_purchased"})),
    "consent": (N_("Consent"), frozenset({"consent_granted", "consent_withdrawn", "suppression_lifted"})),
    "segments": (N_("Segments"), frozenset({"segment_entered", "segment_left"})),
}
"""What `?kind=` of a customer's page may name, beside single kinds."""


@dataclass(frozen=True)
class Sought:
    """The form above a timeline as it was filled in."""

    kind: str = ""
    channel: str = ""
    q: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def narrows(self) -> bool:
        return self != Sought()

    def looked(self, zone: ZoneInfo) -> Looked:
        """`until` is the last day, included."""
        known = GROUPS.get(self.kind)
        kinds = known[1] if known else frozenset(filter(None, [self.kind]))
        after = None if self.until is None else _start(self.until + timedelta(days=1), zone)
        since = None if self.since is None else _start(self.since, zone)
        return Looked(kinds, self.channel or None, self.q, since, after)


def read_sought(request: Request) -> Sought:
    """From the address; what is no day or no channel is as if it were not there."""
    given = {name: value.replace("\0", "").strip()[:200] for name, value in request.query_params.items()}
    channel = given.get("channel", "")
    return Sought(
        kind=given.get("kind", ""),
        channel=channel if channel in channel_kinds() else "",
        q=given.get("q", ""),
        since=_day(given.get("since", "")),
        until=_day(given.get("until", "")),
    )


def by_day(entries: Sequence[Entry], zone: ZoneInfo) -> list[tuple[date, list[Entry]]]:
    """The entries under the days of the workspace on which they happened."""
    days = groupby(entries, key=lambda entry: entry.at.astimezone(zone).date())
    return [(day, list(own)) for day, own in days]


def _day(given: str) -> date | None:
    try:
        found = date.fromisoformat(given)
    except ValueError:
        return None
    return found if 1900 <= found.year < 9000 else None


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)

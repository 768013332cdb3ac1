"""The sidebar: items by route name, shown once their page exists and the viewer's role may open it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from web.i18n import N_


@dataclass(frozen=True)
class Item:
    route: str
    label: str
    icon: str


@dataclass(frozen=True)
class Section:
    label: str
    items: tuple[Item, ...]


SECTIONS = (
    Section(
        N_("Overview"),
        (Item("dashboard", N_("Dashboard"), "layout-dashboard"), Item("reports", N_("Reports"), "report-analytics")),
    ),
    Section(
        N_("People"),
        (
            Item("customers", N_("Customers"), "users"),
            Item("at_risk", N_("At risk"), "heart-handshake"),
            Item("segments", N_("Segments"), "filter"),
            Item("audiences", N_("Lists"), "list-check"),
            Item("imports", N_("Imports"), "file-import"),
            Item("forms", N_("Signup forms"), "forms"),
            Item("suppressed", N_("Suppressions"), "mail-off"),
        ),
    ),
    Section(
        N_("Outreach"),
        (
            Item("campaigns", N_("Campaigns"), "send"),
            Item("calendar", N_("Calendar"), "calendar"),
            Item("templates", N_("Templates"), "template"),
            Item("mailbox", N_("Mailbox"), "mailbox"),
            Item("sending", N_("Sending"), "gauge"),
            Item("came_back", N_("Bounces"), "mail-x"),
        ),
    ),
    Section(
        N_("Sales"),
        (
            Item("today", N_("Today"), "checkbox"),
            Item("salespeople", N_("Salespeople"), "trophy"),
            Item("follow_ups", N_("Follow-ups"), "checklist"),
            Item("surveys", N_("Survey results"), "star"),
        ),
    ),
    Section(
        N_("Set-up"),
        (
            Item("categories", N_("Appliance categories"), "category"),
            Item("topics", N_("Topics"), "tags"),
            Item("contact_rules", N_("Contact rules"), "bell-off"),
            Item("users", N_("Users"), "user-cog"),
            Item("tokens", N_("API tokens"), "key"),
        ),
    ),
)


def sections(may_open: Callable[[str], bool]) -> list[Section]:
    """The sections with what the viewer may open; empty ones are left out."""
    kept = [replace(section, items=tuple(i for i in section.items if may_open(i.route))) for section in SECTIONS]
    return [section for section in kept if section.items]

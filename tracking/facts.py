"""A fact that a message's recipient made: opened, clicked, viewed in a browser, unsubscribed, took that back."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from tracking.ledger import MessageKey


class FactKind(StrEnum):
    """The kinds of event that this room makes; what channels report too has the words of `channels.contract`."""

    OPENED = "opened"
    CLICKED = "clicked"
    VIEWED = "viewed"  # the mail in a browser
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    PAGE_VISIT = "page_visit"  # of the shop, by who came from a message


class Fact(NamedTuple):
    """One thing that happened to a message at `at` (aware).

    `machine`: the word for the machine that did it, None for a person (`tracking.machines`). `link`: where a click
    leads, as the run's link table has it; `link_index` its place there. `source`: how the person said it
    ("one-click", "page").
    """

    key: MessageKey
    kind: FactKind
    at: datetime
    machine: str | None = None
    agent: str = ""
    link: str | None = None
    link_index: int | None = None
    source: str | None = None

    def at_and_key(self) -> tuple[str, str]:
        """The instant, and the event's key, as PostgreSQL reads them: the same however often the fact is recorded."""
        customer, run, step = self.key
        at = self.at.isoformat()
        said = f"{customer}.{run}.{step} {self.kind} {at} {self.link_index} {self.source} {self.agent}"
        return at, _hash(said)


def event_key(said: str) -> UUID:
    """The key of an event: a hash of what its origin calls it, so that a repeated report is one row."""
    return UUID(_hash(said))


def _hash(said: str) -> str:
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:32]

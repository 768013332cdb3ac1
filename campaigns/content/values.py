"""What goes into rendering and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """A tracked link: `template` is the address with literal scheme and host and Jinja in path and query; `label`
    what it says."""

    index: int
    template: str
    label: str = ""


@dataclass(frozen=True)
class MessageLinks:
    """The addresses of one message. `click` gives the tracked address for a link's index; an empty `pixel` leaves the
    pixel out."""

    click: Callable[[int], str]
    pixel: str
    unsubscribe: str
    preferences: str
    view: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message's content. `missing` names the fields that were shown and had no value (`customer.name`)."""

    subject: str
    html: str | None
    text: str
    missing: frozenset[str] = frozenset()

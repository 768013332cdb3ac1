"""What goes into rendering and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from channels.contract import Lines


@dataclass(frozen=True)
class Link:
    """A tracked link: `template` is the address with literal scheme and host and Jinja in path and query; `label`
    what it says."""

    index: int
    template: str
    label: str = ""


class MessageLinks(NamedTuple):
    """The addresses of one message. `clicks` gives the tracked addresses of the first so many links; an empty `pixel`
    leaves the pixel out."""

    clicks: Callable[[int], Sequence[str]]
    pixel: str
    unsubscribe: str
    preferences: str
    view: str

    @property
    def pages(self) -> dict[str, str]:
        """`links.*` of a template."""
        return {"unsubscribe": self.unsubscribe, "preferences": self.preferences, "view": self.view}


class Written(NamedTuple):
    """One message's content as it is sent."""

    subject: str
    html: Lines | None
    text: Lines


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message's content as it is read. `missing` names the fields that were shown and had no value
    (`customer.name`)."""

    subject: str
    html: str | None
    text: str
    missing: frozenset[str] = frozenset()

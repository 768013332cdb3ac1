"""Compiled content: the value that a campaign keeps and every message is rendered from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.errors import HearthError


class RenderFailed(HearthError):
    """The content cannot be rendered for this person (too slow, too large, a value that does not fit); others are not
    concerned."""


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


@dataclass(frozen=True)
class CompiledContent:
    """Templates ready for rendering, with what they need.

    `fields` are the dotted names that the content uses, loops as their list's name (`customer.name`,
    `customer.attributes.color`, `appliance.model`, `appliances.model`, `orders.items.sku`, `today`, `campaign.name`);
    `links.*` are not among them. `click_fields` are the same for the links' addresses alone, which are rendered at
    the click.
    """

    subject: str
    html: str | None
    text: str
    links: tuple[Link, ...]
    fields: frozenset[str]
    click_fields: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    language: str = "en"
    currency: str = "CNY"
    timezone: str = "Asia/Shanghai"
    version: int = field(default=1)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal value back."""
        raise AssertionError

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CompiledContent:
        raise AssertionError

    def render(self, person: Mapping[str, Any], links: MessageLinks) -> Rendered:
        """The content for one person.

        `person` holds plain values under the names of DESIGN.md ("What a template sees"): `customer`, `salesperson`,
        `dealer`, `household`, `appliance`, `order`, `campaign` as dicts (or None), `appliances`, `orders` as lists of
        dicts, `today` a date. A missing or None value renders empty. Raises RenderFailed past 1 s or 1 MB, or where
        an expression fails.
        """
        raise AssertionError

    def click_target(self, index: int, person: Mapping[str, Any]) -> str:
        """Where the tracked link `index` leads for this person: an absolute http(s) address whose scheme and host are
        literal.

        Raises IndexError for an index out of range, RenderFailed where an expression fails.
        """
        raise AssertionError

"""What the groups of a run get. A campaign without an experiment has one edition, which everybody gets.

The tracked links of all editions stand in the run's one table, one edition's after the other's: a token names a place
in it, and so leads where its message's own link led, whichever variant wins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from campaigns.content import CompiledContent
from campaigns.experiments.plan import Variant


@dataclass(frozen=True)
class Edition:
    """`offset`: where its links begin in the run's table; `sender` None: the snapshot's."""

    content: CompiledContent
    sender: str | None = None
    offset: int = 0


@dataclass(frozen=True)
class Editions:
    """`of(variant)`; those without one (the rest of an experiment, everybody where there is none) get `common`."""

    common: Edition
    variants: tuple[Edition, ...] = ()

    def of(self, variant: int | None) -> Edition:
        return self.common if variant is None else self.variants[variant]

    @property
    def all(self) -> tuple[Edition, ...]:
        return self.variants or (self.common,)

    @cached_property
    def fields(self) -> frozenset[str]:
        """What any of them shows or uses in a link."""
        return frozenset[str]().union(*(one.content.fields | one.content.click_fields for one in self.all))

    @property
    def link_templates(self) -> list[str]:
        """The run's table of links."""
        return [link.template for one in self.all for link in one.content.links]

    def of_link(self, link: int) -> tuple[Edition, int]:
        """The edition that has the run's link number `link`, and its number there. Raises IndexError."""
        for one in self.all:
            if one.offset <= link < one.offset + len(one.content.links):
                return one, link - one.offset
        raise IndexError(link)


@lru_cache(maxsize=64)
def read_content(stored: str) -> CompiledContent:
    """A snapshot's content from its JSON text; batches of one run share the result."""
    return CompiledContent.from_json(json.loads(stored))


@lru_cache(maxsize=64)
def read_editions(compiled: str, variants: str | None, winner: int | None = None) -> Editions:
    """A snapshot's editions from the JSON text of its columns; `winner`: what the rest gets, once that is decided."""
    if variants is None:
        return Editions(Edition(read_content(compiled)))
    offset, editions = 0, list[Edition]()
    for stored in json.loads(variants):
        content = CompiledContent.from_json(stored["compiled"])
        editions.append(Edition(content, stored["sender"], offset))
        offset += len(content.links)
    return Editions(editions[winner or 0], tuple(editions))


def varied(content: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """The campaign's content as the variant has it. A body of its own brings its own plain text."""
    changes = {key: value for key, value in variant.changes.items() if key != "from"}
    own_body = changes.keys() & {"html", "mjml"}
    kept = {key: value for key, value in content.items() if not own_body or key not in ("html", "mjml", "text")}
    return {**kept, **changes}


def stored_editions(
    names: Sequence[str], contents: Sequence[CompiledContent], senders: Sequence[str]
) -> list[dict[str, Any]]:
    """What a snapshot keeps of them."""
    return [
        {"name": name, "compiled": content.to_json(), "sender": sender}
        for name, content, sender in zip(names, contents, senders, strict=True)
    ]

"""What the lines of a file of customers can say, as far as they can be drafted (customers/imports/drafts.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from customers.imports.mapping import Fill, Plan
from customers.known import COLUMNS
from customers.models import customers
from customers.people import CODES


@dataclass(frozen=True)
class Shape:
    """What lines of one plan can say. `identities` and `consents`: kind or channel → its fill; `attributes` by key."""

    columns: tuple[str, ...]
    identities: Mapping[str, Fill]
    consents: Mapping[str, Fill]
    attributes: Mapping[str, Fill]
    fields: Mapping[str, Fill]
    tags: Fill | None

    @cached_property
    def copied(self) -> tuple[str, ...]:
        """The columns of the table that the texts of a draft's rows stand for."""
        folded = customers.c
        return tuple(
            each for name in self.columns for each in (name, f"{name}_folded") if each == name or each in folded
        )

    @cached_property
    def asked(self) -> frozenset[str]:
        """The fields whose values tell more than what their columns hold: who it is, where, whose."""
        home = ("community", "city", "address") if "address" in self.fields else ()
        return frozenset({"external_id", "email", "phone", *home, *self.codes}.intersection(self.fields))

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The columns that hold a code."""
        return tuple(name for name in CODES if name in self.fields)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of identity that lines can have."""
        return (*(name for name in ("external_id", "email") if name in self.fields), *self.identities)


def shape_of(plan: Plan) -> Shape | None:
    """The shape of a plan whose lines can be drafted; None where it asks for more."""
    if plan.kind != "customers" or plan.key is not None:
        return None
    fields: dict[str, Fill] = {}
    identities: dict[str, Fill] = {}
    consents: dict[str, Fill] = {}
    attributes: dict[str, Fill] = {}
    tags = None
    for fill in plan.fills:
        head, _, rest = fill.target.partition(".")
        word = rest.casefold()
        if not fill.places and fill.read() in (None, ""):
            return None  # a constant nothing removes
        if fill.target == "tags":
            tags = fill
        elif head == "attributes":
            attributes[rest] = fill
        elif head == "consents" and word not in consents:
            consents[word] = fill
        elif head == "identities" and word not in (*identities, "external_id", "email", "phone", "id"):
            identities[word] = fill
        elif fill.target in COLUMNS:
            fields[fill.target] = fill
        else:
            return None
    columns = tuple(name for name in COLUMNS if name in fields)
    return Shape(columns, identities, consents, attributes, fields, tags)

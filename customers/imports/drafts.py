"""Lines of customers as the rows they would be, were everybody new: made column by column, far from the database.

A draft holds only lines that mean nobody whom another line of the batch means, and that can be read without a fault.
The others, and those whose people turn out to be known, go the careful way (customers/people.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from customers.addresses import read_address, read_identity_kind
from customers.attributes import folded_attributes, read_attribute
from customers.households import household_key
from customers.imports.columns import (
    CELL_FAULT,
    FAULT,
    NO_LISTS,
    NO_TEXT,
    as_member,
    column_of,
    copied,
    copied_folded,
    copied_lists,
    each,
    has_faults,
    objects,
)
from customers.imports.mapping import Fill
from customers.imports.shape import Shape
from customers.models import customers
from customers.schemas import CONSENT, CUSTOMER, IDENTITY
from customers.values import Context, Reader, read_texts
from runtime.registry import Kind

BETWEEN = "\0"
"""Stands between the cells of a line: none holds one."""
_OTHERS = frozenset({"birthday", "household_size"})
"""Fields that are no texts."""
_PLAIN = frozenset({"email", "phone"})
"""Fields that are folded as they are, and hold no sign that COPY escapes."""
_UNFOLDED = frozenset({Kind.NUMBER, Kind.YES_NO})


@dataclass(frozen=True)
class Draft:
    """Lines of a batch, side by side: number in the file, cells (joined), and what they would be in the tables.

    `rows`: the columns of Shape.copied; `extras`: tags and attributes, both with their folded forms. `keys`: identity
    kind → value or None; `phones`, `consents` (channel → word) alike. `homes`: (key, community, address) or None.
    `codes`: the codes that are named. `attribute_kinds`: what the values of attributes were taken for.
    """

    lines: list[int]
    cells: list[str]
    rows: list[str]
    extras: list[str]
    keys: dict[str, list[str | None]]
    phones: list[str | None]
    consents: dict[str, list[bool | None]]
    homes: list[tuple[str, str | None, str] | None]
    codes: dict[str, list[str]]
    attribute_kinds: dict[str, str]


class Drafter:
    """Drafts batch after batch; it knows the kinds of the attributes, and learns those of new ones as it goes."""

    def __init__(self, shape: Shape, context: Context, kinds: dict[str, Kind]) -> None:
        self._shape = shape
        self._context = context
        self._kinds = kinds

    def draft(self, numbers: Sequence[int], lines: Sequence[Sequence[str]]) -> tuple[Draft, list[int]]:
        """The draft of these lines, and the places of those that must go the careful way."""
        read = _Lines(self._shape, self._context, self._kinds, lines)
        careful = read.careful()
        kept = [place for place in range(len(lines)) if place not in careful]
        read.keep(kept if careful else None)
        draft = Draft(
            lines=[numbers[place] for place in kept],
            cells=[BETWEEN.join(lines[place]) for place in kept],
            rows=read.rows(),
            extras=read.extras(),
            keys={kind: read.columns[f"identities.{kind}"] for kind in self._shape.kinds},
            phones=read.columns.get("phone") or [None] * len(kept),
            consents={channel: read.columns[f"consents.{channel}"] for channel in self._shape.consents},
            homes=read.homes(),
            codes=read.codes(),
            attribute_kinds={key: self._kinds[key].value for key in self._shape.attributes if key in self._kinds},
        )
        return draft, sorted(careful)


class _Lines:
    """The values of some lines, `columns` by target; dates, numbers, tags and attributes as COPY takes them."""

    def __init__(self, shape: Shape, context: Context, kinds: dict[str, Kind], lines: Sequence[Sequence[str]]) -> None:
        self._shape = shape
        self._context = context
        self._kinds = kinds
        self._cells: list[Sequence[str]] = list(zip(*lines, strict=True))
        self._count = len(lines)
        self.columns: dict[str, list[Any]] = {}
        for name, fill in shape.fields.items():
            self._read(name, _field_reader(name), fill)
        for kind, fill in shape.identities.items():
            self._read(f"identities.{kind}", _identity_reader(kind), fill)
        for channel, fill in shape.consents.items():
            self._read(f"consents.{channel}", CONSENT.fields["granted"], fill)
        if shape.tags is not None:
            self._read("tags", _read_tags, shape.tags)
        for kind in ("external_id", "email"):
            if kind in shape.fields:
                self.columns[f"identities.{kind}"] = self.columns[kind]
        self._read_attributes()

    def careful(self) -> set[int]:
        """The places of lines with a fault, without a name, or that name somebody whom another line names."""
        odd = {
            place
            for column in self.columns.values()
            if has_faults(column)
            for place, value in enumerate(column)
            if value is FAULT or value is CELL_FAULT
        }
        signs = [self.columns[f"identities.{kind}"] for kind in self._shape.kinds]
        for column in signs:
            odd |= _shared(column)
        named = [any(found) for found in zip(*signs, strict=True)] if signs else [False] * self._count
        lone = [place for place, told in enumerate(named) if not told]
        phones = self.columns.get("phone")
        if phones is None or not lone:
            return odd.union(lone)
        asked = {phones[place] for place in lone}
        return odd.union(
            (place for place in lone if phones[place] is None),
            (place for place in _shared(phones) if phones[place] in asked),
        )

    def keep(self, places: list[int] | None) -> None:
        """Forget all lines but these (None: keep them all)."""
        if places is not None:
            self.columns = {name: [column[place] for place in places] for name, column in self.columns.items()}
            self._count = len(places)

    def rows(self) -> list[str]:
        texts = [each(_copying(name), self.columns[name]) for name in self._shape.columns]
        return list(map("\t".join, zip(*texts, strict=True))) if texts else [""] * self._count

    def extras(self) -> list[str]:
        """Tags and attributes, both with their folded forms."""
        nothing = [NO_LISTS] * self._count
        tags = [tags or NO_LISTS for tags in self.columns["tags"]] if "tags" in self.columns else nothing
        if not self._shape.attributes:
            return [f"{each}\t{{}}\t{{}}" for each in tags]
        members = objects([self.columns[f"attributes.{key}"] for key in self._shape.attributes])
        folded = objects([self.columns[f"folded.{key}"] for key in self._shape.attributes])
        return list(map("\t".join, zip(tags, members, folded, strict=True)))

    def homes(self) -> list[tuple[str, str | None, str] | None]:
        nothing: list[Any] = [None] * self._count
        if "address" not in self._shape.fields:
            return nothing
        held = [self.columns.get(name, nothing) for name in ("community", "city", "address")]
        homes: list[tuple[str, str | None, str] | None] = []
        for community, city, address in zip(*held, strict=True):
            key = household_key({"community": community, "city": city, "address": address}) if address else None
            homes.append(None if key is None else (key, community, address))
        return homes

    def codes(self) -> dict[str, list[str]]:
        named = (name for name in ("community", "dealer", "salesperson") if name in self._shape.fields)
        return {name: sorted({code for code in self.columns[name] if code is not None}) for name in named}

    def _read(self, target: str, reader: Reader, fill: Fill) -> None:
        self.columns[target] = column_of(fill, reader, self._context, self._cells, self._count)

    def _read_attributes(self) -> None:
        """An attribute whose kind is not known yet has it by its first value, of a line that makes a record."""
        new = [key for key in self._shape.attributes if key not in self._kinds]
        given = {
            key: column_of(self._shape.attributes[key], _taken, self._context, self._cells, self._count) for key in new
        }
        cells = (column for column in (*self.columns.values(), *given.values()) if has_faults(column))
        broken = {place for column in cells for place, value in enumerate(column) if value is CELL_FAULT}
        for key, values in given.items():
            self._learn(key, (value for place, value in enumerate(values) if place not in broken))
        for key, fill in self._shape.attributes.items():
            if key in self._kinds:
                self._read(f"attributes.{key}", _attribute_reader(key, self._kinds, folded=False), fill)
                if self._kinds[key] in _UNFOLDED:
                    self.columns[f"folded.{key}"] = [None] * self._count
                else:
                    self._read(f"folded.{key}", _attribute_reader(key, self._kinds, folded=True), fill)
            else:
                self.columns[f"attributes.{key}"] = [None if value is None else FAULT for value in given[key]]
                self.columns[f"folded.{key}"] = [None] * self._count

    def _learn(self, key: str, values: Iterable[Any]) -> None:
        for value in values:
            if value is None:
                continue
            try:
                read_attribute(key, value, self._kinds, self._context)
            except ValueError:
                continue
            return


def _copying(name: str) -> Callable[[Any], str]:
    """How a field becomes its columns."""
    if name in _PLAIN:
        return lambda value: NO_TEXT if value is None else f"{value}\t{value}"
    return copied_folded if f"{name}_folded" in customers.c else copied


def _taken(value: Any, _: Context) -> Any:
    return value


def _field_reader(name: str) -> Reader:
    """Of texts, the text; of others, what COPY takes."""
    reader = CUSTOMER.fields[name]
    if name not in _OTHERS:
        return reader

    def read(value: Any, context: Context) -> str | None:
        plain = reader(value, context)
        return None if plain is None else str(plain)

    return read


def _read_tags(value: Any, context: Context) -> Any:
    """No tags at all is something to say: that there are none."""
    tags = read_texts(value, context)
    return copied_lists(tags) if tags else FAULT


def _attribute_reader(key: str, kinds: dict[str, Kind], *, folded: bool) -> Reader:
    def read(value: Any, context: Context) -> str | None:
        plain = read_attribute(key, value, kinds, context)
        if folded:
            plain = folded_attributes({key: plain}).get(key)
        return None if plain is None else as_member(key, plain)

    return read


def _identity_reader(kind: str) -> Reader:
    def read(value: Any, context: Context) -> Any:
        word = read_identity_kind(kind, context)
        text = IDENTITY.fields["value"](value, context)
        return FAULT if word != kind or text is None else read_address(kind, text, context) or FAULT

    return read


def _shared(column: Sequence[Any]) -> set[int]:
    """The places of values that occur more than once."""
    if len(set(column)) + column.count(None) >= len(column) + (None in column):
        return set()
    often = {value for value, times in Counter(column).items() if times > 1 and value is not None}
    return {place for place, value in enumerate(column) if value in often}

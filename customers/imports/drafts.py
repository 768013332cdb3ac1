"""Lines of customers as the rows they would be, were everybody new: made column by column, far from the database.

A draft holds only lines that mean nobody whom another line of the batch means, and that can be read without a fault.
The others, and those whose people turn out to be known, go the careful way (customers/people.py) once it is taken in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from customers.attributes import read_attribute
from customers.households import household_key
from customers.imports.columns import CELL_FAULT, FAULT, NO_LISTS, Column, Often, as_objects, faults_of
from customers.imports.fields import attribute_reader, columns_of, sign, taken, texts_of
from customers.imports.shape import Shape
from customers.imports.sheets import People, Sheet, sheets_of
from customers.values import Context
from runtime.registry import Kind

BETWEEN = "\0"
"""Stands between the cells of a line: none holds one."""
_SLAB = 1000  # lines


@dataclass(frozen=True)
class Draft:
    """Lines of a batch, side by side: number in the file, cells (joined), and what they would be in the tables.

    `keys`: identity kind → value or None; `consents`: channel → word, `codes`: column → code, alike. `lone`: the phones
    of lines that name nobody otherwise, by place. `homes`: (key, community, address) or None; empty where lines have no
    addresses. `attribute_kinds`: what the values of attributes were taken for. `aside`: the identities (and under
    `phone` the phones) that lines beside the draft name.
    """

    lines: list[int]
    cells: list[str]
    sheets: list[Sheet]
    keys: dict[str, list[str | None]]
    lone: dict[int, str]
    consents: dict[str, list[bool | None]]
    homes: list[tuple[str, str | None, str] | None]
    codes: dict[str, list[str | None]]
    attribute_kinds: dict[str, str]
    aside: dict[str, list[str]]


class Drafter:
    """Drafts batch after batch; it knows the kinds of the attributes, and learns those of new ones as it goes.
    `moment`: when the customers come to be, as COPY takes it."""

    def __init__(self, shape: Shape, context: Context, kinds: dict[str, Kind], moment: str) -> None:
        self._shape = shape
        self._context = context
        self._kinds = kinds
        self._moment = moment
        self._fields = columns_of(shape, context)
        self._attributes: dict[str, Column] = {}
        self._objects = Often(as_objects)
        self._texts = set(shape.columns) - shape.asked
        self._told = {name for name in self._fields if name not in self._texts and name != "tags"}

    def draft(self, numbers: Sequence[int], lines: Sequence[Sequence[str]]) -> tuple[Draft, list[int]]:
        """The draft of these lines, and the places of those that must go the careful way."""
        slabs = [self._slab(lines[start : start + _SLAB]) for start in range(0, len(lines), _SLAB)]
        columns = {name: [value for columns, _ in slabs for value in columns[name]] for name in slabs[0][0]}
        careful = {start * _SLAB + place for start, (_, faults) in enumerate(slabs) for place in faults}
        careful |= _shared(columns, self._shape.kinds, len(lines))
        aside = _signs(columns, self._shape.kinds, careful)
        if careful:
            kept = [place for place in range(len(lines)) if place not in careful]
            columns = {name: [column[place] for place in kept] for name, column in columns.items()}
            numbers, lines = [numbers[place] for place in kept], [lines[place] for place in kept]
        return self._drafted(numbers, lines, columns, aside), sorted(careful)

    def _slab(self, lines: Sequence[Sequence[str]]) -> tuple[dict[str, list[Any]], set[int]]:
        """What some lines say: `rows`, their part of the table of customers, and by target what is asked about
        otherwise; and which of them have a fault. Few enough that a processor holds them near at hand."""
        columns = self._read(list(zip(*lines, strict=True)), len(lines))
        faults: set[int] = set()
        for name in self._faulty(columns):
            column, found = columns[name], faults_of(columns[name])
            for place in found:
                column[place] = "" if name in self._texts else None
            faults |= found
        told = {name: column for name, column in columns.items() if name in self._told}
        return {**told, "rows": self._rows(columns, len(lines))}, faults

    def _drafted(
        self,
        numbers: Sequence[int],
        lines: Sequence[Sequence[str]],
        columns: dict[str, list[Any]],
        aside: dict[str, list[str]],
    ) -> Draft:
        shape, count = self._shape, len(lines)
        keys = {kind: columns[sign(kind)] for kind in shape.kinds}
        phones = columns.get("phone") or [None] * count
        consents = {channel: columns[f"consents.{channel}"] for channel in shape.consents}
        people = People(columns["rows"], keys, phones, consents)
        return Draft(
            lines=list(numbers),
            cells=list(map(BETWEEN.join, lines)),
            sheets=list(sheets_of(shape, people, self._moment)),
            keys=keys,
            lone={place: phones[place] for place in _nameless(list(keys.values()), count)},
            consents=consents,
            homes=_homes(shape, columns, count),
            codes={name: columns[name] for name in shape.codes},
            attribute_kinds={key: self._kinds[key].value for key in shape.attributes if key in self._kinds},
            aside=aside,
        )

    def _rows(self, columns: dict[str, list[Any]], count: int) -> list[str]:
        """What the lines say of the table of customers: fields, tags and attributes, with their folded forms."""
        texts: list[Sequence[str]] = [
            columns[name] if name in self._texts else texts_of(name, columns[name]) for name in self._shape.columns
        ]
        texts.append([tags or NO_LISTS for tags in columns["tags"]] if "tags" in columns else [NO_LISTS] * count)
        pairs = [columns[f"attributes.{key}"] for key in self._shape.attributes]
        texts.append(self._objects(list(zip(*pairs, strict=True))) if pairs else ["{}\t{}"] * count)
        return list(map("\t".join, zip(*texts, strict=True)))

    def _read(self, cells: Sequence[Sequence[str]], count: int) -> dict[str, list[Any]]:
        """The values of the lines by target; dates, numbers, tags and attributes as COPY takes them.

        An attribute whose kind is not known yet has it by its first value, of a line that makes a record.
        """
        columns = {name: column.read(cells, count) for name, column in self._fields.items()}
        new = [key for key in self._shape.attributes if key not in self._kinds]
        given = {key: Column(self._shape.attributes[key], taken, self._context).read(cells, count) for key in new}
        if new:
            read = (*columns.values(), *given.values())
            broken = {place for column in read for place in faults_of(column) if column[place] is CELL_FAULT}
            for key, values in given.items():
                self._learn(key, (value for place, value in enumerate(values) if place not in broken))
        for key in self._shape.attributes:
            if key in self._kinds:
                columns[f"attributes.{key}"] = self._attribute(key).read(cells, count)
            else:
                columns[f"attributes.{key}"] = [None if value is None else FAULT for value in given[key]]
        return columns

    def _attribute(self, key: str) -> Column:
        if key not in self._attributes:
            reader = attribute_reader(key, self._kinds)
            self._attributes[key] = Column(self._shape.attributes[key], reader, self._context)
        return self._attributes[key]

    def _learn(self, key: str, values: Iterable[Any]) -> None:
        for value in values:
            if value is None:
                continue
            try:
                read_attribute(key, value, self._kinds, self._context)
            except ValueError:
                continue
            return

    def _faulty(self, columns: Iterable[str]) -> list[str]:
        """Which columns may have faults."""
        sound = {name for name, column in self._fields.items() if not column.faulty}
        sound |= {f"attributes.{key}" for key, column in self._attributes.items() if not column.faulty}
        return [name for name in columns if name not in sound]


def _shared(columns: dict[str, list[Any]], kinds: Sequence[str], count: int) -> set[int]:
    """The places of lines that name nobody, or somebody whom another line names; by a phone alone also the others that
    have it: whom it means hangs on all of them."""
    signs = [columns[sign(kind)] for kind in kinds]
    found = {place for column in signs for place in _repeated(column)}
    lone = _nameless(signs, count)
    phones = columns.get("phone")
    if phones is None or not lone:
        return found.union(lone)
    asked = {phones[place] for place in lone}
    found |= {place for place in lone if phones[place] is None}
    return found.union(place for place in _repeated(phones) if phones[place] in asked)


def _nameless(signs: Sequence[Sequence[Any]], count: int) -> list[int]:
    """The places of lines that have no identity."""
    if any(None not in column for column in signs):
        return []
    if not signs:
        return list(range(count))
    return [place for place, found in enumerate(zip(*signs, strict=True)) if not any(found)]


def _repeated(column: Sequence[Any]) -> set[int]:
    """The places of values that occur more than once."""
    if len(set(column)) == len(column):
        return set()
    often = {value for value, times in Counter(column).items() if times > 1 and value is not None}
    return {place for place, value in enumerate(column) if value in often}


def _signs(columns: dict[str, list[Any]], kinds: Sequence[str], places: set[int]) -> dict[str, list[str]]:
    """What can be read of the identities and phones of these lines."""
    named = {kind: columns[sign(kind)] for kind in kinds} | {"phone": columns.get("phone", ())}
    found = {
        kind: [column[place] for place in places if isinstance(column[place], str)] if column else []
        for kind, column in named.items()
    }
    return {kind: values for kind, values in found.items() if values}


def _homes(shape: Shape, columns: dict[str, list[Any]], count: int) -> list[tuple[str, str | None, str] | None]:
    if "address" not in shape.fields:
        return []
    nothing: list[Any] = [None] * count
    held = [columns.get(name, nothing) for name in ("community", "city", "address")]
    homes: list[tuple[str, str | None, str] | None] = []
    for community, city, address in zip(*held, strict=True):
        key = household_key({"community": community, "city": city, "address": address}) if address else None
        homes.append(None if key is None else (key, community, address))
    return homes

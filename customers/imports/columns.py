"""A column of cells at a time: what each cell says, made plain, and as COPY takes it. A value that occurs often is read
once; what cannot be read is marked, and told by those who read record by record (customers/person.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring
from typing import Any

from customers.imports.mapping import CellFault, Fill
from customers.values import Context, Reader
from runtime.text import fold

FAULT: Any = object()
"""Stands for a value that cannot be read."""
CELL_FAULT: Any = object()
"""Stands for a cell that not even makes a value: its line has no record at all."""

NULL = "\\N"
NO_TEXT = f"{NULL}\t{NULL}"
NO_LISTS = "{}\t{}"
_SPECIAL = re.compile(r"[\\\n\r\t]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})


def column_of(fill: Fill, reader: Reader, context: Context, cells: Sequence[Sequence[str]], count: int) -> list[Any]:
    """What `reader` makes of the field of `count` lines (`cells` column by column): None where nothing is said."""

    def read(value: Any) -> Any:
        if value is None or value == "":
            return None
        try:
            return reader(value, context)
        except ValueError:
            return FAULT

    def read_cell(*found: str) -> Any:
        try:
            value = fill.read(*found)
        except CellFault:
            return CELL_FAULT
        return read(value)

    if not fill.places:
        return [read(fill.read())] * count
    if len(fill.places) > 1:
        return [read_cell(*found) for found in zip(*(cells[place] for place in fill.places), strict=True)]
    column = cells[fill.places[0]]
    return each(read, [cell.strip() for cell in column]) if fill.as_is else each(read_cell, column)


def each(make: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """`make` of all `values`, which can be hashed and are the same where they are equal; where they repeat, once."""
    distinct = set(values)
    if len(distinct) * 2 > len(values):
        return [make(value) for value in values]
    made = {value: make(value) for value in distinct}
    return [made[value] for value in values]


def has_faults(column: Sequence[Any]) -> bool:
    return object in set(map(type, column))


def copied(value: Any) -> str:
    """A text (or number, date, yes/no) as COPY takes it."""
    if isinstance(value, str):
        return value if value.isalnum() or not _SPECIAL.search(value) else value.translate(_ESCAPES)
    if isinstance(value, bool):
        return "t" if value else "f"
    return NULL if value is None else str(value)


def texts(column: Sequence[str | None]) -> Sequence[str | None]:
    """Texts as COPY takes them; None stays."""
    if not _SPECIAL.search(" ".join(filter(None, column))):
        return column
    return [value and copied(value) for value in column]


def copied_folded(value: Any) -> str:
    """A text and its folded form, as two columns."""
    if not isinstance(value, str):
        return NO_TEXT
    folded = fold(value)
    plain = copied(value)
    return f"{plain}\t{plain if folded == value else copied(folded)}"


def copied_lists(value: Sequence[str]) -> str:
    """A list of texts and the list of their folded forms, as two columns."""
    return f"{copied(array(value))}\t{copied(array(fold(part) or '' for part in value))}"


def as_member(key: str, value: Any) -> str:
    """One member of a JSON object, as COPY takes it."""
    if isinstance(value, str):
        said = encode_basestring(value)
    else:
        said = str(value) if type(value) is int else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return copied(f"{encode_basestring(key)}:{said}")


def objects(members: Sequence[Sequence[str | None]]) -> list[str]:
    """JSON objects of members that stand side by side."""
    if len(members) == 1:
        return [f"{{{member or ''}}}" for member in members[0]]
    return [f"{{{','.join(filter(None, found))}}}" for found in zip(*members, strict=True)]


def array(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL reads it."""
    listed = list(values)
    joined = '","'.join(listed)
    if "\\" in joined or joined.count('"') > 2 * max(0, len(listed) - 1):
        joined = '","'.join(value.translate(_QUOTED) for value in listed)
    return f'{{"{joined}"}}' if listed else "{}"

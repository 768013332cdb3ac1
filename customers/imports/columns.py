"""Columns of cells: what each cell says, made plain, and as COPY takes it. A value that occurs often is read once; what
cannot be read is marked, and told by those who read record by record (customers/person.py)."""

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
_REMEMBERED = 30_000  # values of one column: what is larger than all days on which customers are born


class _Made(dict[Any, Any]):
    """What was made of each value."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __missing__(self, value: Any) -> Any:
        made = self[value] = self._make(value)
        return made


class Often:
    """`make` of column after column of values, which can be hashed and are the same where they are equal; of those that
    repeat, once. Columns whose values hardly do are soon no more looked up."""

    def __init__(self, make: Callable[[Any], Any], *, seldom: bool = False) -> None:
        self._make = make
        self._made = _Made(make)
        self._asked = 0
        self._seldom = seldom

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        if self._seldom:
            return list(map(self._make, values))
        found = list(map(self._made.__getitem__, values))
        self._asked += len(values)
        if len(self._made) > _REMEMBERED:
            self._seldom = len(self._made) * 2 > self._asked
            self._made.clear()
            self._asked = 0
        return found


class Column:
    """What `reader` makes of the field of line after line: `nothing` where nothing is said. `alone`: its values hardly
    repeat. `plain`: what it makes of many cells at once, None of those that it takes the reader to tell. `faulty`: some
    cell of it could not be read."""

    def __init__(
        self,
        fill: Fill,
        reader: Reader,
        context: Context,
        *,
        nothing: str | None = None,
        alone: bool = False,
        plain: Callable[[Sequence[str]], Sequence[Any]] | None = None,
    ) -> None:
        self._fill = fill
        self._reader = reader
        self._context = context
        self._nothing = nothing
        self._each = Often(self._of_text if fill.as_is else self._of_cell, seldom=alone)
        self._plain = plain if fill.as_is else None
        self.faulty = False

    def read(self, cells: Sequence[Sequence[str]], count: int) -> list[Any]:
        """Of `count` lines, whose cells stand column by column."""
        places = self._fill.places
        if not places:
            return [self._read(self._fill.read())] * count
        if len(places) > 1:
            return [self._of_cell(*found) for found in zip(*(cells[place] for place in places), strict=True)]
        column = cells[places[0]]
        if self._plain is None:
            return self._each(column)
        of_text = self._of_text
        return [of_text(cell) if made is None else made for made, cell in zip(self._plain(column), column, strict=True)]

    def _of_text(self, cell: str) -> Any:
        """The same as `_of_cell` where the cell is read as it is."""
        text = cell.strip()
        if not text:
            return self._nothing
        try:
            return self._reader(text, self._context)
        except ValueError:
            self.faulty = True
            return FAULT

    def _of_cell(self, *cells: str) -> Any:
        try:
            value = self._fill.read(*cells)
        except CellFault:
            self.faulty = True
            return CELL_FAULT
        return self._read(value)

    def _read(self, value: Any) -> Any:
        if value is None or value == "":
            return self._nothing
        try:
            return self._reader(value, self._context)
        except ValueError:
            self.faulty = True
            return FAULT


def faults_of(column: Sequence[Any]) -> set[int]:
    """The places of what cannot be read."""
    if object not in set(map(type, column)):
        return set()
    return {place for place, value in enumerate(column) if value is FAULT or value is CELL_FAULT}


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


def as_objects(pairs: Iterable[tuple[str | None, str | None] | None]) -> str:
    """Two JSON objects of these pairs of members, as two columns."""
    told = [pair for pair in pairs if pair is not None]
    plain, folded = ",".join(filter(None, (pair[0] for pair in told))), ",".join(filter(None, (p[1] for p in told)))
    return f"{{{plain}}}\t{{{folded}}}"


def array(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL reads it."""
    listed = list(values)
    joined = '","'.join(listed)
    if "\\" in joined or joined.count('"') > 2 * max(0, len(listed) - 1):
        joined = '","'.join(value.translate(_QUOTED) for value in listed)
    return f'{{"{joined}"}}' if listed else "{}"

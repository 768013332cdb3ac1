"""Which column of a file is which field of a record: read from JSON, checked against the header, made a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from customers.imports.targets import KINDS, check_keys, check_target, set_target
from customers.imports.transforms import Step, make_step
from customers.values import Context
from runtime.errors import Invalid, Problem

_PLACE = re.compile(r"\{([^{}]+)\}")
_KEYS = frozenset({"kind", "encoding", "delimiter", "group_by", "columns", "items"})


@dataclass(frozen=True)
class Entry:
    """Where a field comes from: a column (with a transform), a constant (`value`), or a template over columns."""

    column: str | None = None
    transform: Any = None
    template: str | None = None
    value: Any = None


@dataclass(frozen=True)
class FileMapping:
    """A mapping file (API.md). `columns`: target field → entry; `items` the same for the items of an order."""

    kind: str
    columns: Mapping[str, Entry]
    items: Mapping[str, Entry] = field(default_factory=dict)
    group_by: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


class CellFault(ValueError):
    """A cell that cannot become its field; `column` is its name in the file."""

    def __init__(self, column: str, reason: str) -> None:
        self.column = column
        super().__init__(reason)


@dataclass(frozen=True)
class Fill:
    """What sets one field of a record: `read` takes the cells at `places` (none: a constant, set whatever it is) and
    gives the value, None or "" where there is nothing to set. It raises CellFault."""

    target: str
    places: tuple[int, ...]
    read: Callable[..., Any]
    as_is: bool = False  # `read` does no more than take surrounding space away

    def apply(self, cells: Sequence[str], record: dict[str, Any]) -> None:
        if self.as_is:
            if text := cells[self.places[0]].strip():
                set_target(record, self.target, text)
            return
        value = self.read(*[cells[place] for place in self.places])
        if (value is not None and value != "") or not self.places:
            set_target(record, self.target, value)


@dataclass(frozen=True)
class Plan:
    """A mapping fitted to a header. `columns_of`: target field → column, to name the culprit of a refused field."""

    kind: str
    fills: Sequence[Fill]
    item_fills: Sequence[Fill]
    key: int | None
    columns_of: Mapping[str, str]

    def record(self, cells: Sequence[str]) -> dict[str, Any]:
        """The record that a line describes, without items. Raises CellFault."""
        return _filled(self.fills, cells)

    def item(self, cells: Sequence[str]) -> dict[str, Any]:
        """The item that a line describes. Raises CellFault."""
        return _filled(self.item_fills, cells)


def load_mapping(path: Path, kind: str | None = None) -> FileMapping:
    """Read a mapping file; `kind` where it does not say. Raises Invalid naming the culprit."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Invalid(f"{path}: is not JSON: {error}") from None
    return read_mapping(given, kind)


def read_mapping(given: Any, kind: str | None = None) -> FileMapping:
    """The mapping that a JSON document describes; `kind` where it does not say. Raises Invalid naming the culprit."""
    if not isinstance(given, dict):
        raise Invalid(Problem("", 'a mapping is an object like {"columns": {"external_id": "Customer no."}}'))
    problems = [Problem(key, "a mapping has no such key") for key in given if key not in _KEYS]
    kind = given.get("kind") or kind
    if kind not in KINDS:
        problems.append(Problem("kind", f"{kind!r} cannot be imported; known kinds: {', '.join(KINDS)}"))
    problems += [
        Problem(key, "must be text") for key in ("encoding", "delimiter", "group_by") if not _is_text(given.get(key))
    ]
    if len(given.get("delimiter") or ",") != 1:
        problems.append(Problem("delimiter", "must be one character"))
    columns = _entries(given.get("columns"), "columns", problems)
    items = _entries(given.get("items", {}), "items", problems)
    if not problems:
        problems += _bad_targets(str(kind), columns, items)
    if problems:
        raise Invalid(problems)
    return FileMapping(str(kind), columns, items, given.get("group_by"), given.get("encoding"), given.get("delimiter"))


def fit(mapping: FileMapping, header: Sequence[str], context: Context) -> Plan:
    """The mapping over this header. Raises Invalid for columns that are not there, or keys that are not mapped."""
    check_keys(mapping.kind, mapping.columns, header)
    fitter = _Fitter(mapping, header, context)
    fills = [fitter.fill("columns", target, entry) for target, entry in mapping.columns.items()]
    item_fills = [fitter.fill("items", target, entry) for target, entry in mapping.items.items()]
    key = None if mapping.group_by is None else fitter.place(mapping.group_by, "group_by")
    if fitter.problems:
        raise Invalid(fitter.problems)
    columns_of = {target: entry.column for target, entry in mapping.columns.items() if entry.column}
    columns_of |= {f"items.{target}": entry.column for target, entry in mapping.items.items() if entry.column}
    return Plan(mapping.kind, fills, item_fills, key, columns_of)


class _Fitter:
    def __init__(self, mapping: FileMapping, header: Sequence[str], context: Context) -> None:
        self._mapping = mapping
        self._header = header
        self._context = context
        self.problems: list[Problem] = []

    def fill(self, part: str, target: str, entry: Entry) -> Fill:
        path = f"{part}.{target}"
        if entry.template is not None:
            return self._templated(target, entry.template, path)
        if entry.column is None:
            return Fill(target, (), lambda: entry.value)
        step, place = self._step(entry, path), self.place(entry.column, path)
        return Fill(target, (place,), _reading(entry.column, step), as_is=step is None)

    def place(self, column: str, path: str) -> int:
        """Which cell of a line the column is; a column that is not there becomes a problem."""
        found = [place for place, name in enumerate(self._header) if name == column]
        if len(found) != 1:
            count = "there is no column" if not found else "there are several columns"
            held = ", ".join(self._header)
            self.problems.append(Problem(path, f"{count} {column!r}; the file has: {held}"))
        return found[0] if found else 0

    def _step(self, entry: Entry, path: str) -> Step | None:
        if entry.transform is None:
            return None
        try:
            return make_step(entry.transform, self._context, f"{path}.transform")
        except Invalid as error:
            self.problems += error.problems
            return None

    def _templated(self, target: str, template: str, path: str) -> Fill:
        """Each `{Column}` stands as the column's own entry reads it, else as it is; one without value, no field."""
        parts = _PLACE.split(template)
        reads, places = [], []
        for column in parts[1::2]:
            entries = (*self._mapping.columns.values(), *self._mapping.items.values())
            own = next((entry for entry in entries if entry.column == column), Entry(column))
            reads.append(_reading(column, self._step(own, path)))
            places.append(self.place(column, path))

        def read(*cells: str) -> str | None:
            words = [parts[0]]
            for one, cell, after in zip(reads, cells, parts[2::2], strict=True):
                value = one(cell)
                if value is None or value == "":
                    return None
                words += [str(value), after]
            return "".join(words)

        return Fill(target, tuple(places), read)


def _reading(column: str, step: Step | None) -> Callable[[str], Any]:
    """What a cell of `column` says. Raises CellFault."""

    def read(cell: str) -> Any:
        value = cell.strip()
        if step is None or not value:
            return value
        try:
            return step(value)
        except ValueError as error:
            raise CellFault(column, str(error)) from None

    return read


def _filled(fills: Sequence[Fill], cells: Sequence[str]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for fill in fills:
        fill.apply(cells, record)
    return record


def _entries(given: Any, path: str, problems: list[Problem]) -> dict[str, Entry]:
    if not isinstance(given, dict) or (path == "columns" and not given):
        problems.append(Problem(path, 'must be an object like {"external_id": "Customer no."}'))
        return {}
    return {str(target): _entry(one, f"{path}.{target}", problems) for target, one in given.items()}


def _entry(given: Any, path: str, problems: list[Problem]) -> Entry:
    if isinstance(given, str):
        return Entry(given)
    keys = set(given) if isinstance(given, dict) else set()
    if keys == {"value"}:
        return Entry(value=given["value"])
    if keys == {"template"} and isinstance(given["template"], str):
        return Entry(template=given["template"])
    if "column" in keys and keys <= {"column", "transform"} and isinstance(given["column"], str):
        return Entry(given["column"], given.get("transform"))
    problems.append(Problem(path, 'must be a column\'s name, {"column", "transform"}, {"value"} or {"template"}'))
    return Entry()


def _bad_targets(kind: str, columns: Mapping[str, Entry], items: Mapping[str, Entry]) -> list[Problem]:
    found = [(f"columns.{target}", check_target(kind, target)) for target in columns]
    found += [(f"items.{target}", check_target(f"{kind}.items", target)) for target in items]
    return [Problem(path, fault) for path, fault in found if fault is not None]


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value != "")

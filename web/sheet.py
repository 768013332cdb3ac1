"""The sheet of an upload: its first rows with what each column means, between a browser's form and a mapping."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.datastructures import QueryParams

from customers.imports.cells import Row
from customers.imports.guess import guess_mapping
from customers.imports.head import HEAD_ROWS, Head, is_email, is_phone, looks_like_data
from customers.imports.mapping import Entry, FileMapping, read_mapping
from customers.imports.targets import KINDS, OWNED
from customers.values import Context
from runtime.errors import Invalid, Problem
from segments.lines import LIST_KIND, guess_list_mapping, is_sign, nameless, read_list_mapping
from web.i18n import _
from web.sheet_words import ENCODINGS, NAMED_DELIMITERS

MOST = 0.75  # of the values of a column tell what it is
IGNORED = "-"  # a column that is left out
_COLUMN = re.compile(r"c\d{1,5}", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """What the form asks for, as the browser sent it. `targets`: by column, None where it says nothing of them (or of
    other columns: the sheet was read differently then)."""

    kind: str
    encoding: str = ""
    delimiter: str = ""
    header_mark: str = ""
    targets: Mapping[int, str] = field(default_factory=dict)
    group_by: str | None = None
    first_line: str = ""  # names or data; empty: as it looks
    creating: bool = False
    chosen_for: str = ""  # new: the targets were chosen when people could become customers; known: when not

    @property
    def delimiter_sign(self) -> str | None:
        return NAMED_DELIMITERS.get(self.delimiter)


@dataclass(frozen=True)
class Column:
    """A column of the sheet; `entry`: as the mapping that came with the file reads it."""

    place: int
    name: str
    samples: Sequence[str]
    target: str
    entry: Entry | None


@dataclass(frozen=True)
class Sheet:
    """The columns with their meaning; `rest`: what else the mapping fills, from no column of its own."""

    asked: Asked
    head: Head
    columns: Sequence[Column]
    rest: Mapping[str, Entry]
    group_by: str | None
    named: bool = True  # the first line names the columns

    @property
    def mark(self) -> str:
        return mark_of(self.head.header)

    def mapping(self) -> dict[str, Any]:
        """The mapping as JSON (API.md). Raises Invalid: a field that two columns fill, or what reading it refuses."""
        filled = {target: _entry_json(entry) for target, entry in self.rest.items()}
        problems = []
        for one in self.columns:
            if one.target == IGNORED:
                continue
            if one.target in filled:
                problems.append(Problem(f"c{one.place}", _("another column is this already: choose one of them")))
            filled[one.target] = _entry_json(one.entry or Entry(one.name))
        if problems:
            raise Invalid(problems)
        items = {target[6:]: entry for target, entry in filled.items() if target.startswith("items.")}
        columns = {target: entry for target, entry in filled.items() if not target.startswith("items.")}
        made: dict[str, Any] = {"kind": self.asked.kind, "columns": columns, **({"items": items} if items else {})}
        made |= {"group_by": self.group_by} if self.group_by else {}
        made |= {} if self.named else {"header": False}
        return made | self._reading()

    def checked(self) -> FileMapping:
        """The mapping, read. Raises Invalid."""
        given = self.mapping()
        if not given["columns"]:
            raise Invalid(_("No column has a meaning yet: choose at least the one that says who or what it is."))
        if self.asked.kind == LIST_KIND:
            return read_list_mapping(given, creating=self.asked.creating).file
        return read_mapping(given, self.asked.kind)

    def _reading(self) -> dict[str, str]:
        """Encoding and delimiter as they were looked at; a beginning of plain ASCII says nothing of the rest."""
        encoding = self.asked.encoding or ("" if self.head.plain else self.head.encoding)
        delimiter = self.asked.delimiter_sign or self.head.delimiter
        return {**({"encoding": encoding} if encoding else {}), "delimiter": delimiter}


def read_asked(params: QueryParams | Mapping[str, Any], kind: str) -> Asked:
    """What a form's fields ask for; unknown words fall back to finding out. `kind`: where the form does not say."""
    given = {name: str(value) for name, value in params.items()}
    asked_kind = given.get("kind", kind)
    targets = {int(name[1:]): value for name, value in given.items() if _COLUMN.fullmatch(name)}
    return Asked(
        kind=asked_kind if kind != LIST_KIND and asked_kind in KINDS else kind,
        encoding=given.get("encoding", "") if given.get("encoding") in ENCODINGS else "",
        delimiter=given.get("delimiter", "") if given.get("delimiter") in NAMED_DELIMITERS else "",
        header_mark=given.get("columns", ""),
        targets=targets,
        group_by=given.get("group_by"),
        first_line=given.get("first_line", "") if kind == LIST_KIND else "names",
        creating=given.get("create_missing") == "yes",
        chosen_for=given.get("shown_for", ""),
    )


def make_sheet(asked: Asked, head: Head, given: Any, context: Context) -> Sheet:
    """The sheet over the first rows: what was asked for, else the mapping that came with the file, else a guess."""
    named = _named(asked, head, given, context)
    if not named:
        head = replace(head, header=nameless(head.header), rows=[Row(1, head.header), *head.rows][:HEAD_ROWS])
    base = _base(asked, head, given, context)
    same = asked.header_mark == mark_of(head.header)
    filled = [(target, entry) for target, entry in base.columns.items()]
    filled += [(f"items.{target}", entry) for target, entry in base.items.items()]
    columns: list[Column] = []
    used: set[str] = set()
    for place, name in enumerate(head.header):
        found = next(((target, entry) for target, entry in filled if entry.column == name and target not in used), None)
        target = found[0] if found else IGNORED
        used.add(target)
        chosen = _chosen(asked, place, target) if same else target
        entry = found[1] if found and chosen == found[0] else None
        columns.append(Column(place, name, head.samples(place), chosen, entry))
    rest = {target: entry for target, entry in filled if target not in used}
    return Sheet(asked, head, columns, rest, _group_by(asked, base, columns, same=same), named)


def _named(asked: Asked, head: Head, given: Any, context: Context) -> bool:
    """Whether the first line names the columns: as is said, in the mapping too, else as it looks."""
    if asked.first_line or asked.kind != LIST_KIND:
        return asked.first_line != "data"
    if isinstance(given, dict):
        return given.get("header") is not False
    return not looks_like_data(head.header, context)


def _chosen(asked: Asked, place: int, guessed: str) -> str:
    """What was chosen for a column. Where people become customers, more can be said of them than who they are: what was
    left out for want of that is guessed, and goes again without it."""
    chosen = asked.targets.get(place, guessed)
    if asked.kind != LIST_KIND:
        return chosen
    if chosen == IGNORED and asked.creating and asked.chosen_for == "known":
        return guessed
    return chosen if asked.creating or chosen == IGNORED or is_sign(chosen) else IGNORED


def mark_of(header: Sequence[str]) -> str:
    """Tells one row of columns from another, so that what was said of columns is not taken for others."""
    return hashlib.sha256("\0".join(header).encode(errors="replace")).hexdigest()[:12]


def _base(asked: Asked, head: Head, given: Any, context: Context) -> FileMapping:
    if given is not None:
        try:
            if asked.kind == LIST_KIND:
                return read_list_mapping(given, creating=asked.creating).file
            if given.get("kind", asked.kind) == asked.kind:
                return read_mapping(given, asked.kind)
        except Invalid:  # it was for another kind of records
            pass
    if asked.kind == LIST_KIND:
        guessed = guess_list_mapping(head.header, creating=asked.creating)
    else:
        guessed = guess_mapping(asked.kind, head.header)
    return _with_addresses(guessed, head, context)


def _with_addresses(guessed: FileMapping, head: Head, context: Context) -> FileMapping:
    """A column whose name says nothing but whose values are e-mail addresses, or phone numbers, is that."""
    if guessed.kind not in (*OWNED, "customers"):
        return guessed
    before = "customer." if guessed.kind in OWNED else ""
    columns = dict(guessed.columns)
    taken = {entry.column for entry in (*columns.values(), *guessed.items.values())}
    for place, name in enumerate(head.header):
        values = head.samples(place, len(head.rows))
        if name in taken or not values:
            continue
        for target, fits in ((f"{before}email", is_email), (f"{before}phone", is_phone)):
            if target not in columns and sum(fits(value, context) for value in values) >= MOST * len(values):
                columns[target] = Entry(name)
                break
    return FileMapping(guessed.kind, columns, guessed.items, guessed.group_by, guessed.encoding, guessed.delimiter)


def _group_by(asked: Asked, base: FileMapping, columns: Sequence[Column], *, same: bool) -> str | None:
    """The column by which lines belong together; an order with items stands on as many lines as it has items."""
    names = {str(one.place): one.name for one in columns}
    if same and asked.group_by is not None:
        return names.get(asked.group_by)
    if base.group_by is not None:
        return base.group_by
    if asked.kind == "orders" and any(one.target.startswith("items.") for one in columns):
        return next((one.name for one in columns if one.target == "number"), None)
    return None


def _entry_json(entry: Entry) -> Any:
    if entry.template is not None:
        return {"template": entry.template}
    if entry.column is None:
        return {"value": entry.value}
    return entry.column if entry.transform is None else {"column": entry.column, "transform": entry.transform}

"""Lines of an uploaded list: which cells say who somebody is, read as imports read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from customers.imports.cells import Grid, Row, open_grid
from customers.imports.guess import guess_mapping
from customers.imports.mapping import CellFault, FileMapping, Plan, fit, read_mapping
from customers.imports.source import Source
from customers.person import Pair, read_person
from customers.values import Context
from runtime.errors import Invalid, Problem

LIST_KIND = "audience"
SIGNS = ("id", "external_id", "email", "phone")
_BATCH = 5_000


@dataclass(frozen=True)
class Line:
    """A line of the file and whom it names: `signs` are identities (and the phone) in their plain form.

    `fault`: why it names nobody, `column` the culprit's name in the file. `record`: what would make a customer of it.
    """

    number: int
    cells: Sequence[str]
    signs: Sequence[Pair] = ()
    fault: str | None = None
    column: str | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ListMapping:
    """`named` False: the first line is data already, and the columns are called `column 1`, `column 2` …"""

    file: FileMapping
    named: bool = True


def read_list_mapping(given: Any, *, creating: bool = False) -> ListMapping:
    """A mapping of identities (`id`, `external_id`, `email`, `phone`, `identities.<kind>`); where unknown people are
    made customers, of their other fields too. `"header": false` where the first line is data. Raises Invalid."""
    if isinstance(given, dict) and given.get("kind") not in (None, LIST_KIND):
        raise Invalid(Problem("kind", f"is {given['kind']!r}, but this is an audience"))
    plain = {**given, "kind": "customers"} if isinstance(given, dict) else given
    named = plain.pop("header", True) if isinstance(plain, dict) else True
    mapping = read_mapping(plain, "customers")
    problems = [_foreign(target, creating) for target in mapping.columns if not _taken(target, creating)]
    if mapping.group_by is not None:
        problems.append(Problem("group_by", "an audience has one person a line"))
    if not isinstance(named, bool):
        problems.append(Problem("header", "must be true, or false where the first line is data"))
    if problems:
        raise Invalid(problems)
    return ListMapping(mapping, named)


def nameless(cells: Sequence[str]) -> list[str]:
    """What the columns of a file without a header are called."""
    return [f"column {number}" for number in range(1, len(cells) + 1)]


def guess_list_mapping(header: Sequence[str], *, creating: bool = False) -> FileMapping:
    """The mapping that the header suggests."""
    guessed = guess_mapping("customers", header)
    kept = {target: entry for target, entry in guessed.columns.items() if _taken(target, creating)}
    return replace(guessed, columns=kept)


def plan_of(mapping: FileMapping | None, header: Sequence[str], context: Context, *, creating: bool = False) -> Plan:
    """How lines under this header are read; `mapping` None: guessed. Raises Invalid where nothing says who they are."""
    return fit(mapping or guess_list_mapping(header, creating=creating), header, context)


def read_lines(rows: Iterable[Row], header: Sequence[str], plan: Plan, context: Context) -> Iterator[Line]:
    """Each row with the people that it names, or why it names none."""
    for row in rows:
        if row.fault is None:
            yield _line(row, plan, context)
        else:
            column = None if row.column is None else header[row.column]
            yield Line(row.line, row.cells, fault=row.fault, column=column)


def is_sign(target: str) -> bool:
    """Whether a mapping's target says who somebody is."""
    return target in SIGNS or target.startswith("identities.")


class LineReader:
    """The blocking half, for a thread: from a file's bytes to lines by the thousand."""

    def __init__(self, source: Source, mapping: ListMapping | None, context: Context, *, creating: bool) -> None:
        self._source = source
        self._mapping = mapping
        self._context = context
        self._creating = creating
        self._stack = ExitStack()
        self._lines: Iterator[Line] = iter(())
        self._grid: Grid | None = None

    @property
    def place(self) -> int:
        """How many bytes of the file are read."""
        return 0 if self._grid is None else self._grid.place

    def open(self) -> list[str]:
        """The header. Raises Invalid where no column says who a customer is."""
        mapping = self._mapping.file if self._mapping else None
        encoding, delimiter = (mapping.encoding, mapping.delimiter) if mapping else (None, None)
        grid = self._stack.enter_context(open_grid(self._source, encoding=encoding, delimiter=delimiter))
        header, rows = list(grid.header), grid.rows()
        if self._mapping is not None and not self._mapping.named:
            header, rows = nameless(header), chain([Row(1, header)], rows)
        plan = plan_of(mapping, header, self._context, creating=self._creating)
        self._grid, self._lines = grid, read_lines(rows, header, plan, self._context)
        return header

    def next(self) -> list[Line]:
        """Some thousand lines more; none at the end."""
        return list(islice(self._lines, _BATCH))

    def close(self) -> None:
        self._stack.close()


def _line(row: Row, plan: Plan, context: Context) -> Line:
    try:
        record = plan.record(row.cells)
    except CellFault as fault:
        return Line(row.line, row.cells, fault=str(fault), column=fault.column)
    who = {name: value for name, value in record.items() if name in SIGNS or name == "identities"}
    person, problems = read_person(who, {}, context)
    if problems:
        culprit = problems[0]
        return Line(row.line, row.cells, fault=culprit.message, column=plan.columns_of.get(culprit.path))
    phone = (("phone", person.phone),) if person.phone else ()
    return Line(row.line, row.cells, (*person.signs, *phone), record=record)


def _taken(target: str, creating: bool) -> bool:
    return is_sign(target) or (creating and not target.startswith("consents."))


def _foreign(target: str, creating: bool) -> Problem:
    if creating:
        return Problem(
            f"columns.{target}", "what people of a list consented to is said for all of them: consent_source"
        )
    return Problem(f"columns.{target}", f"an audience takes only {', '.join(SIGNS)} and identities.<kind>")

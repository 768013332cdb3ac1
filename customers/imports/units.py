"""What of a file makes one record: a line, or all lines of one key. In the same order each time, so that an
interrupted import goes on where it stood."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from customers.imports.cells import Grid, Row
from customers.imports.grouping import Sheaf
from customers.imports.mapping import CellFault, Plan

_GROUP_LIMIT = 20_000


@dataclass(frozen=True)
class Refusal:
    """Why a line was refused; `column` is the culprit's name in the file, where one is to blame."""

    line: int
    column: str | None
    reason: str
    cells: Sequence[str]


@dataclass(frozen=True)
class Unit:
    """One record with the lines it stands on (None: it is not made yet); or lines that are refused."""

    lines: Sequence[Row]
    record: dict[str, Any] | None
    refusals: Sequence[Refusal] = field(default_factory=tuple)


def read_units(grid: Grid, plan: Plan) -> Generator[Unit, None, None]:
    """All units of the file, whose records `unit_of` makes. Grouped lines wait on disk, so the memory does not grow
    with the file."""
    return _single(grid) if plan.key is None else _grouped(grid, plan.key)


def refuse(lines: Sequence[Row], culprit: Row, column: str | None, reason: str) -> list[Refusal]:
    """The refusals of all `lines` of a record because of one of them."""
    return [
        Refusal(row.line, column, reason, row.cells)
        if row is culprit
        else Refusal(row.line, None, f"belongs to the record of line {culprit.line}: {reason}", row.cells)
        for row in lines
    ]


def _single(grid: Grid) -> Generator[Unit, None, None]:
    for row in grid.rows():
        yield bad_row(grid, row) if row.fault is not None else Unit([row], None)


def _grouped(grid: Grid, key: int) -> Generator[Unit, None, None]:
    """First the lines that have no place in a record, as they come; then record after record by its first line."""
    with Sheaf() as sheaf:
        for row in grid.rows():
            if row.fault is not None:
                yield bad_row(grid, row)
            elif name := row.cells[key].strip():
                sheaf.add(name, row)
            else:
                column = grid.header[key]
                yield Unit([row], None, refuse([row], row, column, "is empty: the line belongs to no record"))
        for _, rows in groupby(sheaf.rows(), key=lambda found: found[0]):
            lines = [row for _, row in islice(rows, _GROUP_LIMIT + 1)]
            if len(lines) > _GROUP_LIMIT:
                yield from _too_long(lines, (row for _, row in rows))
            else:
                yield Unit(lines, None)


def unit_of(lines: Sequence[Row], plan: Plan) -> Unit:
    """What these lines make: one record, or their refusals."""
    row = lines[0]
    try:
        record = plan.record(row.cells)
        if plan.item_fills:
            items = record["items"] = []
            for row in lines:
                items.append(plan.item(row.cells))
    except CellFault as fault:
        return Unit(lines, None, refuse(lines, row, fault.column, str(fault)))
    return Unit(lines, record)


def bad_row(grid: Grid, row: Row) -> Unit:
    """The unit of a line that cannot be used."""
    column = None if row.column is None else grid.header[row.column]
    return Unit([row], None, [Refusal(row.line, column, row.fault or "", row.cells)])


def _too_long(lines: Sequence[Row], more: Iterator[Row]) -> Iterator[Unit]:
    reason = f"more than {_GROUP_LIMIT} lines share one key: that is no record"
    for row in (*lines, *more):
        yield Unit([row], None, refuse([row], row, None, reason))

"""The blocking half of an import, for a thread or a process of its own: from bytes to batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice

from customers.imports.cells import Grid, Row, open_grid
from customers.imports.drafts import Draft, Drafter
from customers.imports.guess import guess_mapping
from customers.imports.mapping import FileMapping, Plan, fit
from customers.imports.shape import shape_of
from customers.imports.source import Source
from customers.imports.units import Refusal, Unit, bad_row, read_units
from customers.values import Context
from runtime.registry import Kind

_FIRST = 1000  # units of the first batch; the next ones are larger, so that small files show progress
_MOST = 5_000
_MOST_LINES = 10_000
_MOST_DRAFTED = 10_000  # lines; half as many cost a tenth more each, and twice as many hold others up for longer
_MOST_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class Task:
    """What is to be read: the file, the kind of its records, the mapping (None: guessed), how many units are dealt with
    already, the attributes that are defined, and when its records come to be (ISO)."""

    source: Source
    kind: str
    mapping: FileMapping | None
    context: Context
    skip: int = 0
    attribute_kinds: Mapping[str, Kind] = field(default_factory=dict)
    moment: str = ""


@dataclass(frozen=True)
class Batch:
    """Some units of the file: refused lines, the lines of each record that goes the careful way, and a draft of the
    others. `rows` in lines; `place`: bytes of the file that are read."""

    units: int
    rows: int
    place: int
    refusals: list[Refusal]
    groups: list[list[Row]]
    draft: Draft | None = None


class Reader:
    """Reads a file batch by batch; always the same units in the same order."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._stack = ExitStack()
        self._batches: Iterator[Batch] = iter(())
        self.opened = False
        self.grid: Grid

    @property
    def place(self) -> int:
        """How many bytes of the file are read."""
        return self.grid.place if self.opened else 0

    def open(self) -> list[str]:
        """The header. Raises Invalid where the file cannot be read or the mapping does not fit it."""
        task, mapping = self._task, self._task.mapping
        encoding, delimiter = (mapping.encoding, mapping.delimiter) if mapping else (None, None)
        self.grid = self._stack.enter_context(open_grid(task.source, encoding=encoding, delimiter=delimiter))
        self.opened = True
        plan = plan_of(task.kind, mapping, self.grid.header, task.context)
        shape = shape_of(plan)
        if shape is None:
            units = read_units(self.grid, plan)
            self._stack.callback(units.close)
            self._batches = _of_units(self.grid, units, task.skip)
        else:
            drafter = Drafter(shape, task.context, dict(task.attribute_kinds), task.moment)
            self._batches = _of_lines(self.grid, drafter, task.skip)
        return self.grid.header

    def next(self) -> Batch | None:
        return next(self._batches, None)

    def abandon(self) -> None:
        """Nothing more is wanted; a batch that is being read is read to its end."""

    def close(self) -> None:
        self._stack.close()


def plan_of(kind: str, mapping: FileMapping | None, header: list[str], context: Context) -> Plan:
    """The mapping, given or guessed, over this header. Raises Invalid."""
    return fit(mapping or guess_mapping(kind, header), header, context)


def _of_units(grid: Grid, units: Iterator[Unit], skip: int) -> Iterator[Batch]:
    held: list[Unit] = []
    lines, most = 0, _FIRST
    for unit in islice(units, skip, None):
        held.append(unit)
        lines += len(unit.lines)
        if len(held) >= most or lines >= _MOST_LINES:
            yield _batch_of(held, grid.place)
            held, lines, most = [], 0, min(2 * most, _MOST)
    if held:
        yield _batch_of(held, grid.place)


def _batch_of(units: list[Unit], place: int) -> Batch:
    refusals = [refusal for unit in units for refusal in unit.refusals]
    groups = [list(unit.lines) for unit in units if not unit.refusals]
    return Batch(len(units), sum(len(unit.lines) for unit in units), place, refusals, groups)


class _Held:
    """Rows of the grid until they are a batch."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.cells: list[list[str]] = []
        self.faults: list[Row] = []

    def __len__(self) -> int:
        return len(self.numbers) + len(self.faults)

    def add(self, numbers: list[int], cells: list[list[str]], faults: list[Row]) -> None:
        self.numbers += numbers
        self.cells += cells
        self.faults += faults

    def take(self, count: int) -> tuple[list[int], list[list[str]], list[Row]]:
        """The first `count` rows, which are held no more."""
        if count >= len(self):
            taken = self.numbers, self.cells, self.faults
            self.numbers, self.cells, self.faults = [], [], []
            return taken
        last = sorted([*self.numbers, *(row.line for row in self.faults)])[count - 1]
        sound = sum(number <= last for number in self.numbers)
        bad = sum(row.line <= last for row in self.faults)
        taken = self.numbers[:sound], self.cells[:sound], self.faults[:bad]
        self.numbers, self.cells, self.faults = self.numbers[sound:], self.cells[sound:], self.faults[bad:]
        return taken


def _of_lines(grid: Grid, drafter: Drafter, skip: int) -> Iterator[Batch]:
    held, most, start = _Held(), _FIRST, 0
    for block in grid.blocks():
        held.add(block.numbers, block.cells, block.faults)
        if skip:
            passed = min(skip, len(held))
            held.take(passed)
            skip -= passed
        while len(held) >= most or (grid.read_characters - start >= _MOST_CHARACTERS and len(held)):
            yield _drafted(grid, drafter, *held.take(most))
            most, start = min(2 * most, _MOST_DRAFTED), grid.read_characters
    if len(held):
        yield _drafted(grid, drafter, *held.take(len(held)))


def _drafted(grid: Grid, drafter: Drafter, numbers: list[int], cells: list[list[str]], faults: list[Row]) -> Batch:
    refusals = [refusal for row in faults for refusal in bad_row(grid, row).refusals]
    count = len(numbers) + len(faults)
    if not numbers:
        return Batch(count, count, grid.place, refusals, [])
    draft, careful = drafter.draft(numbers, cells)
    groups = [[Row(numbers[place], cells[place])] for place in careful]
    return Batch(count, count, grid.place, refusals, groups, draft)

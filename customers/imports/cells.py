"""Lines of cells out of a file as it is: stray quotes, broken bytes and giant cells cost their own line only."""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from customers.imports.encodings import ERRORS, MARK, checked_encoding, detect_encoding
from customers.imports.lines import LINE_LIMIT, SPAN_LIMIT, Lines
from customers.imports.source import PIECE, Source, Unpacked
from runtime.errors import Invalid

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE_LINES = 20
_CELL_LIMIT = 100_000
_SHOWN = 200  # characters of a cell, or line, that is refused

csv.field_size_limit(LINE_LIMIT + _CELL_LIMIT)


@dataclass(frozen=True)
class Row:
    """One line of the table: the number of its first line in the file (the header is line 1), and its cells.

    `fault`: why it cannot be used; then `cells` is what there is to show, and `column` the culprit's place if known.
    """

    line: int
    cells: Sequence[str]
    fault: str | None = None
    column: int | None = None


@dataclass(frozen=True)
class Block:
    """Rows that stand together: of the sound ones the numbers and cells, side by side, and those with a fault."""

    numbers: list[int]
    cells: list[list[str]]
    faults: list[Row]


class Grid:
    """An open file as a table: its header, and its rows from the second line on."""

    def __init__(self, name: str, stream: Unpacked, encoding: str, delimiter: str | None) -> None:
        self._stream = stream
        text = io.TextIOWrapper(io.BufferedReader(stream, PIECE), encoding=encoding, errors=ERRORS, newline="")
        self._lines = Lines(text)
        self.encoding = encoding
        self.delimiter = self._announced() or delimiter or _detect_delimiter(self._lines.peek(_SAMPLE_LINES))
        self.header = self._read_header(name)

    @property
    def place(self) -> int:
        """How many bytes of the file are read."""
        return self._stream.place

    @property
    def read_characters(self) -> int:
        """How many characters of the file are read."""
        return self._lines.size

    def rows(self) -> Iterator[Row]:
        """All rows but empty ones, which nobody meant."""
        for block in self.blocks():
            sound = (Row(number, cells) for number, cells in zip(block.numbers, block.cells, strict=True))
            yield from heapq.merge(sound, block.faults, key=lambda row: row.line) if block.faults else sound

    def blocks(self) -> Iterator[Block]:
        """The same by the thousand."""
        while lines := self._lines.take():
            yield self._block(lines)

    def _block(self, lines: list[str]) -> Block:
        """`lines` as cells; a line whose quotes are out of order ends the block, and what follows it is put back."""
        width, block = len(self.header), Block([], [], [])
        first = self._lines.number - len(lines) + 1
        for place, cells in enumerate(_cells_of(lines, self.delimiter)):
            if cells is not None and len(cells) == width:
                if cells[0] or any(cells):
                    block.numbers.append(first + place)
                    block.cells.append(cells)
                continue
            line = lines[place]
            if '"' in line:
                self._lines.put_back(len(lines) - place - 1)
            self._enter(self._row(first + place, line, width), block)
            if '"' in line:
                break
        return block

    @staticmethod
    def _enter(row: Row, block: Block) -> None:
        if row.fault is not None:
            block.faults.append(row)
        elif any(row.cells):
            block.numbers.append(row.line)
            block.cells.append(list(row.cells))

    def _announced(self) -> str | None:
        """Excel's own `sep=;` before the header."""
        first = self._lines.peek(1)
        told = first[0].strip("\ufeff\r\n") if first else ""
        if len(told) == 5 and told.startswith("sep="):
            self._lines.next()
            return told[4]
        return None

    def _read_header(self, name: str) -> list[str]:
        line = self._lines.next()
        while line is not None and not line.strip():
            line = self._lines.next()
        if line is None:
            raise Invalid(f"{name}: the file is empty; the first line must name the columns")
        row = self._row(self._lines.number, line, None)
        names = [cell.strip("\ufeff \u3000\t") for cell in row.cells]
        while names and not names[-1]:
            names.pop()
        if row.fault is not None or not names or any(MARK in each for each in names):
            raise Invalid(f"{name}: the first line must name the columns: {row.fault or 'it cannot be read'}")
        return names

    def _row(self, number: int, line: str, width: int | None) -> Row:
        if len(line) >= LINE_LIMIT:
            return _refused(number, [line], "the line is too long")
        if "\0" in line:
            return _refused(number, [line], "contains a NUL character")
        if '"' in line:
            cells, fault = self._quoted(line, width)
            if fault is not None:
                return _refused(number, [line], fault)
        else:
            cells = line.rstrip("\r\n").split(self.delimiter)
        if width is not None and len(cells) != width:
            if not any(cell.strip() for cell in cells):
                return Row(number, [])
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                return _refused(number, cells, f"has {len(cells)} cells where the header has {width}")
            cells = cells[:width]
        return _sound(number, cells) if len(line) > _CELL_LIMIT or MARK in line or '"' in line else Row(number, cells)

    def _quoted(self, line: str, width: int | None) -> tuple[list[str], str | None]:
        """The cells of a line with quotes, with the lines after it that its last quote runs over."""
        taken, size = [line], len(line)
        cells, fault = self._parse(taken)
        while fault == _OPEN and len(taken) <= SPAN_LIMIT and size <= _CELL_LIMIT:
            after = self._lines.next()
            if after is None:
                break
            taken.append(after)
            size += len(after)
            if '"' in after:
                cells, fault = self._parse(taken)
        if len(taken) > 1 and (fault is not None or (width is not None and len(cells) != width)):
            self._lines.put_back(len(taken) - 1)
            return [], _OPEN
        return cells, fault

    def _parse(self, lines: Sequence[str]) -> tuple[list[str], str | None]:
        try:
            return next(csv.reader(lines, delimiter=self.delimiter, strict=True)), None
        except csv.Error as error:
            return [], _OPEN if "unexpected end" in str(error) else "text follows a closing quote"


_OPEN = "a quote is opened and never closed"


def _odd(text: str, lines: Sequence[str]) -> bool:
    """Whether any of `lines`, which are `text`, cannot be taken as it is, quotes aside."""
    return "\0" in text or MARK in text or len(max(lines, key=len)) > _CELL_LIMIT


def _cells_of(lines: Sequence[str], delimiter: str) -> Sequence[list[str] | None]:
    """The cells of each line; None where it needs a closer look."""
    odd = _odd("".join(lines), lines)
    try:
        cells: list[list[str]] = [] if odd else list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        cells = []
    if len(cells) == len(lines):  # so none of them runs over the next
        return cells
    return [None if odd and _odd(line, (line,)) else _tidy(line, delimiter) for line in lines]


def _tidy(line: str, delimiter: str) -> list[str] | None:
    if '"' not in line:
        return line.rstrip("\r\n").split(delimiter)
    try:
        return next(csv.reader((line,), delimiter=delimiter, strict=True))
    except csv.Error:
        return None


@contextmanager
def open_grid(source: Source, *, encoding: str | None = None, delimiter: str | None = None) -> Iterator[Grid]:
    """Open a file as a table; encoding and delimiter are detected where not given. Raises Invalid."""
    if encoding is None:
        encoding = detect_encoding(source.name, lambda: _pieces(source))
    with source.open() as stream:
        yield Grid(source.name, stream, checked_encoding(encoding), delimiter)


def _pieces(source: Source) -> Iterator[bytes]:
    with source.open() as stream:
        yield from iter(lambda: stream.read(PIECE) or b"", b"")


def _sound(number: int, cells: list[str]) -> Row:
    for place, cell in enumerate(cells):
        if len(cell) > _CELL_LIMIT:
            return _refused(number, cells, f"the cell is longer than {_CELL_LIMIT} characters", place)
        if MARK in cell:
            return _refused(number, cells, "contains bytes that are not text in the file's encoding", place)
    return Row(number, cells)


def _refused(number: int, cells: Sequence[str], fault: str, column: int | None = None) -> Row:
    shown = [cell[:_SHOWN].rstrip("\r\n").replace(MARK, "\ufffd").replace("\0", "␀") for cell in cells]
    return Row(number, shown, fault, column)


def _detect_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that splits most lines into as many cells as the first; of those, the one with most cells."""

    def fit(delimiter: str) -> tuple[float, int]:
        short = [line for line in lines if len(line) < _CELL_LIMIT and "\0" not in line]
        widths = [len(cells) for cells in csv.reader(short, delimiter=delimiter) if cells]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return round(sum(width == widths[0] for width in widths) / len(widths), 1), widths[0]

    found = {delimiter: fit(delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: found[delimiter])

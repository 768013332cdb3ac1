"""Lines of cells out of a file as it is: stray quotes, broken bytes and giant cells cost their own line only."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from customers.imports.encodings import ERRORS, MARK, checked_encoding, detect_encoding
from customers.imports.source import PIECE, Source, Unpacked
from runtime.errors import Invalid

_DELIMITERS = (",", "\t", ";", "|")
_SAMPLE_LINES = 20
_LINE_LIMIT = 1 << 20  # characters
_CELL_LIMIT = 100_000
_SPAN_LIMIT = 200  # physical lines that one quoted cell may run over
_SHOWN = 200  # characters of a cell, or line, that is refused

csv.field_size_limit(_LINE_LIMIT + _CELL_LIMIT)


@dataclass(frozen=True)
class Row:
    """One line of the table: the number of its first line in the file (the header is line 1), and its cells.

    `fault`: why it cannot be used; then `cells` is what there is to show, and `column` the culprit's place if known.
    """

    line: int
    cells: Sequence[str]
    fault: str | None = None
    column: int | None = None


class Grid:
    """An open file as a table: its header, and its rows from the second line on."""

    def __init__(self, name: str, stream: Unpacked, encoding: str, delimiter: str | None) -> None:
        self._stream = stream
        text = io.TextIOWrapper(io.BufferedReader(stream, PIECE), encoding=encoding, errors=ERRORS, newline="")
        self._lines = _Lines(text)
        self.encoding = encoding
        self.delimiter = self._announced() or delimiter or _detect_delimiter(self._lines.peek(_SAMPLE_LINES))
        self.header = self._read_header(name)

    @property
    def place(self) -> int:
        """How many bytes of the file are read."""
        return self._stream.place

    def rows(self) -> Iterator[Row]:
        """All rows but empty ones, which nobody meant."""
        width = len(self.header)
        while (line := self._lines.next()) is not None:
            row = self._row(line, width)
            if row.fault is not None or any(row.cells):
                yield row

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
        row = self._row(line, None)
        names = [cell.strip("\ufeff \u3000\t") for cell in row.cells]
        while names and not names[-1]:
            names.pop()
        if row.fault is not None or not names or any(MARK in each for each in names):
            raise Invalid(f"{name}: the first line must name the columns: {row.fault or 'it cannot be read'}")
        return names

    def _row(self, line: str, width: int | None) -> Row:
        number = self._lines.number
        if len(line) >= _LINE_LIMIT:
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
        while fault == _OPEN and len(taken) <= _SPAN_LIMIT and size <= _CELL_LIMIT:
            after = self._lines.next()
            if after is None:
                break
            taken.append(after)
            size += len(after)
            if '"' in after:
                cells, fault = self._parse(taken)
        if len(taken) > 1 and (fault is not None or (width is not None and len(cells) != width)):
            self._lines.put_back(taken[1:])
            return [], _OPEN
        return cells, fault

    def _parse(self, lines: Sequence[str]) -> tuple[list[str], str | None]:
        try:
            return next(csv.reader(lines, delimiter=self.delimiter, strict=True)), None
        except csv.Error as error:
            return [], _OPEN if "unexpected end" in str(error) else "text follows a closing quote"


_OPEN = "a quote is opened and never closed"


class _Lines:
    """Physical lines with their number; some can be looked at ahead, or put back."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._ahead: deque[str] = deque()
        self.number = 0

    def next(self) -> str | None:
        line = self._ahead.popleft() if self._ahead else self._read()
        self.number += bool(line)
        return line or None

    def peek(self, count: int) -> list[str]:
        while len(self._ahead) < count and (line := self._read()):
            self._ahead.append(line)
        return list(self._ahead)[:count]

    def put_back(self, lines: Sequence[str]) -> None:
        self._ahead.extendleft(reversed(lines))
        self.number -= len(lines)

    def _read(self) -> str:
        line = self._text.readline(_LINE_LIMIT)
        if len(line) == _LINE_LIMIT and line[-1] not in "\r\n":
            while (rest := self._text.readline(_LINE_LIMIT)) and rest[-1] not in "\r\n":
                pass
        return line


@contextmanager
def open_grid(source: Source, *, encoding: str | None = None, delimiter: str | None = None) -> Iterator[Grid]:
    """Open a file as a table; encoding and delimiter are detected where not given. Raises Invalid."""
    if encoding is None:
        with source.open() as stream:
            encoding = detect_encoding(source.name, iter(lambda: stream.read(PIECE) or b"", b""))
    with source.open() as stream:
        yield Grid(source.name, stream, checked_encoding(encoding), delimiter)


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

"""Lines of cells out of a file as it is: stray quotes, broken bytes and giant cells cost their own line only."""

from __future__ import annotations

import csv
import heapq
import io
import re
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
_CHUNK = 1 << 17  # characters that are read at once
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

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
        self._lines = _Lines(text)
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
        """`lines` as cells; a line that is out of order ends the block, and what follows it is put back."""
        width, delimiter = len(self.header), self.delimiter
        number = self._lines.number - len(lines)
        block = Block([], [], [])
        odd = _odd("".join(lines), lines)
        for place, line in enumerate(lines):
            number += 1
            if '"' in line or (odd and _odd(line, (line,))):
                cells = _tidy(line, delimiter)
            else:
                cells = line.rstrip("\r\n").split(delimiter)
            if cells is not None and len(cells) == width:
                if cells[0] or any(cells):
                    block.numbers.append(number)
                    block.cells.append(cells)
                continue
            self._lines.put_back(len(lines) - place - 1)
            self._enter(self._row(line, width), block)
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
            self._lines.put_back(len(taken) - 1)
            return [], _OPEN
        return cells, fault

    def _parse(self, lines: Sequence[str]) -> tuple[list[str], str | None]:
        try:
            return next(csv.reader(lines, delimiter=self.delimiter, strict=True)), None
        except csv.Error as error:
            return [], _OPEN if "unexpected end" in str(error) else "text follows a closing quote"


_OPEN = "a quote is opened and never closed"


class _Lines:
    """Physical lines, `number` of which are given out; some can be looked at ahead, or put back."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._held: list[str] = []
        self._at = 0  # how many of the held ones are given out
        self._rest = ""  # the beginning of a line whose end is not read yet
        self.number = 0
        self.size = 0

    def next(self) -> str | None:
        if self._at == len(self._held) and not self._read():
            return None
        line = self._held[self._at]
        self._at += 1
        self.number += 1
        return line

    def peek(self, count: int) -> list[str]:
        while len(self._held) - self._at < count and self._read():
            pass
        return self._held[self._at : self._at + count]

    def take(self) -> list[str]:
        """As many as are at hand; none at the end."""
        if self._at == len(self._held):
            self._read()
        lines = self._held[self._at :]
        self._at += len(lines)
        self.number += len(lines)
        return lines

    def put_back(self, count: int) -> None:
        """Let the last `count` lines come again; at most those of one quoted cell, or of the last `take`."""
        self._at -= count
        self.number -= count

    def _read(self) -> bool:
        """Hold at least one line more; False at the end."""
        self._held = self._held[max(0, self._at - _SPAN_LIMIT - 1) :]
        self._at = min(self._at, _SPAN_LIMIT + 1)
        kept = len(self._held)
        while len(self._held) == kept:
            piece = self._next_piece()
            if not piece:
                self._held += [self._rest] if self._rest else []
                self._rest = ""
                break
            # A line feed may follow a carriage return that ends the piece; a line without end is cut.
            piece += self._text.read(1) if piece[-1] == "\r" else ""
            self.size += len(piece)
            lines = _split(self._rest + piece)
            self._rest = "" if lines[-1][-1] in "\r\n" else lines.pop()[:_LINE_LIMIT]
            self._held += [line[:_LINE_LIMIT] for line in lines]
        return len(self._held) > kept

    def _next_piece(self) -> str:
        try:
            return self._text.read(_CHUNK)
        except UnicodeError as error:  # some encodings ask more of a file than that single characters decode
            raise Invalid(f"the file is not in the encoding {self._text.encoding}: {error}") from None


def _split(text: str) -> list[str]:
    """The lines of `text`, with their ends: only `\\r`, `\\n` and both together end one."""
    lines = text.splitlines(keepends=True)
    if len(lines) == text.count("\n") + (text[-1] != "\n"):  # no other sign has split any
        return lines
    return _LINE.findall(text)


def _odd(text: str, lines: Sequence[str]) -> bool:
    """Whether any of `lines`, which are `text`, cannot be taken as it is, quotes aside."""
    return "\0" in text or MARK in text or len(max(lines, key=len)) > _CELL_LIMIT


def _tidy(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line whose quotes are in order; None where it needs a closer look."""
    if line.count('"') % 2 or _odd(line, (line,)):
        return None
    reader = csv.reader((line,), delimiter=delimiter, strict=True)
    try:
        return next(reader)
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

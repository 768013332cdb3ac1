"""The beginning of a file as a table, for whoever is to say what its columns mean; no more of it is read."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from customers.addresses import read_email, read_phone
from customers.imports.cells import Row, open_grid
from customers.imports.encodings import checked_encoding, detect_encoding
from customers.imports.source import PIECE, Source
from customers.values import Context
from runtime.errors import HearthError, Invalid

HEAD_BYTES = 1 << 20
HEAD_ROWS = 20
_SHOWN = 200  # characters of a cell
_CONTROLS = bytes(sign for sign in range(1, 32) if sign not in b"\t\n\v\f\r\x1a\x1b")
_RUBBISH = 0.02  # of the bytes


@dataclass(frozen=True)
class Head:
    """The first rows. `whole`: these are all. `fault`: why there is no table; then `rows` is what can be shown of it,
    as far as it can be read at all. `seems`: the encoding that it would be taken for, where another could be given."""

    encoding: str
    delimiter: str
    header: Sequence[str]
    rows: Sequence[Row] = field(default_factory=tuple)
    whole: bool = True
    plain: bool = False  # ASCII only: it says nothing of the encoding of what follows
    fault: str | None = None
    seems: str | None = None

    def samples(self, column: int, count: int = 3) -> list[str]:
        """Some values of a column, as they stand there."""
        found = (row.cells[column].strip() for row in self.rows if row.fault is None and column < len(row.cells))
        return list(islice(dict.fromkeys(value for value in found if value), count))


def read_head(source: Source, folder: Path, *, encoding: str | None, delimiter: str | None) -> Head:
    """The first rows of a file, in the given encoding and with the given delimiter or in those that it seems to have.

    `folder`: where a copy of the beginning may lie meanwhile. What is wrong with the file becomes `fault`; Invalid is
    raised for what cannot be unpacked, or an encoding that does not exist.
    """
    data, whole = _unpacked(source)
    if encoding is not None:
        encoding = checked_encoding(encoding)
    copy = Source(folder / "head", source.name)
    copy.path.write_bytes(data)
    plain = data.isascii() and b"\0" not in data
    try:
        with open_grid(copy, encoding=encoding, delimiter=delimiter) as grid:
            rows = [_shown(row) for row in islice(grid.rows(), HEAD_ROWS)]
            found = Head(grid.encoding, grid.delimiter, list(grid.header), rows, whole, plain)
            found = replace(found, seems=_seems(source.name, data) if encoding and not plain else None)
    except Invalid as error:
        if _is_rubbish(source.name, data):
            fault = (
                f"{source.name}: is no text, but a picture or some program's own file; save it as CSV and upload that"
            )
            return Head(encoding or "utf-8", delimiter or ",", (), fault=fault)
        return _unreadable(data, encoding or "utf-8", delimiter or ",", str(error))
    return found if whole or len(rows) == HEAD_ROWS else replace(found, rows=_without_the_cut(rows))


def looks_like_data(header: Sequence[str], context: Context) -> bool:
    """Whether what should name the columns is a line of data: it holds an address or a number."""
    return any(is_email(cell, context) or is_phone(cell, context) for cell in header)


def is_email(cell: str, context: Context) -> bool:
    return "@" in cell and _reads(read_email, cell, context)


def is_phone(cell: str, context: Context) -> bool:
    return sum(sign.isdecimal() for sign in cell) >= 7 and _reads(read_phone, cell, context)


def _reads(reader: object, cell: str, context: Context) -> bool:
    try:
        return callable(reader) and reader(cell, context) is not None
    except ValueError:
        return False


def _unpacked(source: Source) -> tuple[bytes, bool]:
    """The beginning, and whether that is all. What is damaged behind it is not our concern here."""
    pieces: deque[bytes] = deque()
    size = 0
    with source.open() as stream:
        while size < HEAD_BYTES:
            try:
                piece = stream.read(PIECE) or b""
            except HearthError:
                if not pieces:
                    raise
                return b"".join(pieces), False
            if not piece:
                return b"".join(pieces), True
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces), False


def _seems(name: str, data: bytes) -> str | None:
    try:
        return detect_encoding(name, lambda: [data])
    except Invalid:
        return None


def _is_rubbish(name: str, data: bytes) -> bool:
    """Whether the bytes are in no encoding that we know, and are full of signs that no text has."""
    head = data[: 64 * 1024]
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > len(head) * _RUBBISH and _seems(name, data) is None


def _without_the_cut(rows: list[Row]) -> list[Row]:
    """A table whose beginning ends within these few rows has an endless one."""
    if not rows:
        return rows
    last = rows[-1]
    return [*rows[:-1], Row(last.line, last.cells, last.fault or "the line is far too long")]


def _shown(row: Row) -> Row:
    """Long cells are cut: nobody reads them in a preview, and lines of many megabytes are not sent to a browser."""
    if all(len(cell) <= _SHOWN for cell in row.cells):
        return row
    cells = [cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "…" for cell in row.cells]
    return Row(row.line, cells, row.fault, row.column)


def _unreadable(data: bytes, encoding: str, delimiter: str, fault: str) -> Head:
    """What can be shown of a file that is no table in this encoding, so that one sees which it is."""
    text = _decoded(data[: 64 * 1024], encoding).replace("\0", "␀")
    lines = [line[: 40 * _SHOWN] for line in io.StringIO(text)][:HEAD_ROWS]
    cells = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    rows = [_shown(Row(number, found)) for number, found in enumerate(cells, 1)]
    return Head(encoding, delimiter, (), rows, fault=fault)


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, errors="replace")
    except UnicodeError:  # an encoding that cannot pass over what it does not know
        return data.decode("ascii", errors="replace")

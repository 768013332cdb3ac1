"""The rejects file: each refused line with line number, column and reason, and its cells as they were."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from customers.imports.units import Refusal
from runtime.errors import Unavailable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_OWN_COLUMNS = ("line", "column", "reason")


def rejects_header(header: Sequence[str]) -> str:
    """The first line of a rejects file over a file with these columns."""
    return _lines([[*_OWN_COLUMNS, *(harmless(name) for name in header)]])


def rejects_lines(refusals: Iterable[Refusal]) -> str:
    """The lines of a rejects file for these refusals."""
    return _lines(
        [refusal.line, harmless(refusal.column or ""), harmless(refusal.reason), *map(harmless, refusal.cells)]
        for refusal in refusals
    )


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; plain numbers stay."""
    if not cell.startswith(_FORMULA) or cell[1:].replace(".", "", 1).isdecimal():
        return cell
    return "'" + cell


class RejectsFile:
    """Comes into being with the first refusal. `path`: where it went, None if nowhere."""

    def __init__(self, wanted: Sequence[Path]) -> None:
        self._wanted = wanted
        self._header: Sequence[str] = ()
        self._file: io.TextIOWrapper | None = None
        self.path: Path | None = None

    def start(self, header: Sequence[str]) -> None:
        self._header = header

    def write(self, refusals: Sequence[Refusal]) -> None:
        if refusals:
            self._file = self._file or self._open()
            self._file.write(rejects_lines(refusals))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> io.TextIOWrapper:
        """The first of the wanted places that can be written to."""
        faults = []
        for path in self._wanted:
            try:
                file = path.open("w", encoding="utf-8-sig", newline="")
            except OSError as error:
                faults.append(f"{path}: {error.strerror or error}")
                continue
            self.path = path
            file.write(rejects_header(self._header))
            return file
        raise Unavailable(f"the rejects file cannot be written: {'; '.join(faults)}; give another place by --rejects")


def _lines(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()

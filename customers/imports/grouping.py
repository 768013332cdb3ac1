"""Lines of one key, wherever they stand in the file, brought together on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType

from customers.imports.cells import Row
from runtime.scratch import scratch

_CHUNK = 5000
_BETWEEN = "\0"  # no cell holds one: such lines are refused before


class Sheaf:
    """Takes rows by key, gives them back by the first line of their key, then by line."""

    def __enter__(self) -> Sheaf:
        self._held = ExitStack()
        folder = self._held.enter_context(scratch("import"))
        # Used by one thread at a time, though not always the same.
        self._store = sqlite3.connect(folder / "lines", isolation_level=None, check_same_thread=False)
        self._store.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;"
            "CREATE TABLE groups (key TEXT PRIMARY KEY, first INTEGER) WITHOUT ROWID;"
            "CREATE TABLE lines (key TEXT, line INTEGER, cells TEXT); BEGIN"
        )
        self._waiting: list[tuple[str, int, str]] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self._held.close()

    def add(self, key: str, row: Row) -> None:
        self._waiting.append((key, row.line, _BETWEEN.join(row.cells)))
        if len(self._waiting) >= _CHUNK:
            self._flush()

    def rows(self) -> Iterator[tuple[str, Row]]:
        """All rows with their key."""
        self._flush()
        ordered = self._store.execute(
            "SELECT key, line, cells FROM lines JOIN groups USING (key) ORDER BY groups.first, lines.line"
        )
        for key, line, cells in ordered:
            yield key, Row(line, cells.split(_BETWEEN))

    def _flush(self) -> None:
        self._store.executemany("INSERT OR IGNORE INTO groups VALUES (?, ?)", (row[:2] for row in self._waiting))
        self._store.executemany("INSERT INTO lines VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

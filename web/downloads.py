"""Files that are made while they are downloaded."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import StreamingResponse

from customers.imports.rejects import harmless
from customers.imports.uploads import get_import, rejects_csv
from runtime.database import Database
from runtime.errors import NotFound
from segments.audiences import LINE_KINDS, Audience

ROWS_AT_ONCE = 1_000


async def csv_download(
    database: Database, made: Callable[[AsyncConnection, int], AsyncIterator[str]], import_id: int, filename: str
) -> StreamingResponse:
    """The CSV of an import, streamed. Raises NotFound before anything is sent."""
    async with database.connect() as conn:
        await get_import(conn, import_id)

    async def stream() -> AsyncIterator[bytes]:
        async with database.connect() as conn:
            async for piece in made(conn, import_id):
                yield piece.encode()

    return _csv(stream(), filename)


async def lines_download(database: Database, found: Audience, kind: str | None) -> StreamingResponse:
    """The lines of a list that are not matched, of one of LINE_KINDS or all. Raises NotFound."""
    import_id = found.import_id
    if import_id is None:
        raise NotFound(f"audience {found.id} ({found.name}) was made without a file")

    async def stream() -> AsyncIterator[bytes]:
        async with database.connect() as conn:
            async for piece in rejects_csv(conn, import_id, LINE_KINDS[kind] if kind else ()):
                yield piece.encode()

    return _csv(stream(), f"audience-{found.id}-{kind or 'rejects'}.csv")


async def rows_csv(
    database: Database, header: Sequence[str], statement: Select[Any], line: Callable[[Any], Sequence[str]], name: str
) -> StreamingResponse:
    """The rows of a statement, each as `line` has it, streamed; formulas neutralised. The first line is `header`."""

    async def stream() -> AsyncIterator[bytes]:
        yield "\ufeff".encode() + _lines([header])  # by which spreadsheets know UTF-8
        async with database.connect() as conn, conn.stream(statement) as found:
            async for rows in found.partitions(ROWS_AT_ONCE):
                yield _lines(line(row) for row in rows)

    return _csv(stream(), name)


def table_csv(header: Sequence[str], lines: Sequence[Sequence[str]], name: str) -> StreamingResponse:
    """A table that is at hand; formulas neutralised."""

    async def stream() -> AsyncIterator[bytes]:
        yield "\ufeff".encode() + _lines([header, *lines])

    return _csv(stream(), name)


def _lines(lines: Iterable[Sequence[str]]) -> bytes:
    made = io.StringIO()
    csv.writer(made, lineterminator="\r\n").writerows(map(harmless, cells) for cells in lines)
    return made.getvalue().encode()


def _csv(pieces: AsyncIterator[bytes], filename: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)

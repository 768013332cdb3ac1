"""Files that are made while they are downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import StreamingResponse

from customers.imports.uploads import get_import, rejects_csv
from runtime.database import Database
from runtime.errors import NotFound
from segments.audiences import LINE_KINDS, Audience


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


def _csv(pieces: AsyncIterator[bytes], filename: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type="text/csv; charset=utf-8", headers=headers)

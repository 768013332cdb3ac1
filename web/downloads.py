"""Files that are made while they are downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import StreamingResponse

from customers.imports.uploads import get_import
from runtime.database import Database


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

    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    return StreamingResponse(stream(), media_type="text/csv; charset=utf-8", headers=headers)

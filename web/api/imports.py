"""Imports: a file uploaded, taken in by a worker, accounted for line by line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from customers.imports.uploads import Import, get_import, list_imports, rejects_csv
from web.access import READERS, Route
from web.api.contract import BASE, Ask, call
from web.api.records import Records
from web.api.shapes import PAGE_QUERY, Page, Started, number_of
from web.downloads import csv_download
from web.listing import read_listing
from web.uploads import UPLOAD_LIMIT, take_import

ROUTES: list[Route] = []


class ImportIn(BaseModel):
    """A multipart form."""

    kind: str = Field(description="customers, orders, appliances or service_visits")
    file: bytes = Field(json_schema_extra={"format": "binary"})
    mapping: str | None = Field(default=None, description="a mapping as JSON; guessed from the headers without one")
    dry_run: bool = False


class ImportOut(BaseModel):
    """rows = accepted + rejected, in lines of the file; records tells what the accepted ones came to."""

    id: int
    kind: str
    filename: str
    dry_run: bool
    state: str
    rows: int
    accepted: int
    rejected: int
    records: Records
    rejects_url: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@call(
    ROUTES,
    "POST",
    "/imports",
    name="create_import",
    body=ImportIn,
    answer=Started,
    status=202,
    multipart=True,
    limit=UPLOAD_LIMIT,
)
async def create(ask: Ask) -> Any:
    """Upload a file; a worker takes it in."""
    return {"id": await take_import(ask.conn, ask.body, ask.viewer.name)}


@call(ROUTES, "GET", "/imports", name="list_imports", answer=Page[ImportOut], allow=READERS, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """Imports, newest first."""
    asked = read_listing(ask.request, ("id",), default="id", limit=50)
    found = await list_imports(ask.conn, before=number_of("cursor", asked.cursor), limit=asked.limit + 1)
    shown = found[: asked.limit]
    following = str(shown[-1].id) if len(found) > asked.limit else None
    return {"items": [_record(ask, one) for one in shown], "next": following}


@call(ROUTES, "GET", "/imports/{id:int}", name="get_import", answer=ImportOut, allow=READERS)
async def show(ask: Ask) -> Any:
    """How an import stands."""
    return _record(ask, await get_import(ask.conn, ask.id))


@call(ROUTES, "GET", "/imports/{id:int}/rejects", name="get_rejects", allow=READERS, detached=True)
async def rejects(ask: Ask) -> StreamingResponse:
    """The refused lines as a CSV file, each with its line, column and reason."""
    return await csv_download(ask.house.database, rejects_csv, ask.id, f"rejects-{ask.id}.csv")


def _record(ask: Ask, found: Import) -> dict[str, Any]:
    url = f"{ask.house.settings.public_url}{BASE}/imports/{found.id}/rejects"
    return {
        **vars(found),
        "records": {name: getattr(found, name) for name in ("created", "updated", "unchanged")},
        "rejects_url": url if found.rejected else None,
    }

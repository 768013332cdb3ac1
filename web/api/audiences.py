"""Uploaded lists of people: a file of identities, matched to customers by a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from customers.imports.uploads import rejects_csv
from runtime.errors import NotFound
from segments.audiences import Audience, audience, audience_of, audience_rows
from segments.models import audiences
from web.access import READERS, Route
from web.api.contract import BASE, Ask, call
from web.api.shapes import PAGE_QUERY, Page, Started, paged
from web.downloads import csv_download
from web.listing import fetch_page, read_listing
from web.uploads import UPLOAD_LIMIT, take_audience

ROUTES: list[Route] = []


class AudienceIn(BaseModel):
    """A multipart form."""

    name: str
    file: bytes = Field(json_schema_extra={"format": "binary"})
    mapping: str | None = Field(default=None, description="a mapping as JSON; guessed from the headers without one")
    create_missing: bool = False


class AudienceOut(BaseModel):
    """rows = matched + unmatched + ambiguous + duplicates, in lines of the file."""

    id: int
    name: str
    state: str
    rows: int
    matched: int
    unmatched: int
    ambiguous: int
    duplicates: int
    rejects_url: str | None
    error: str | None
    created_at: datetime


@call(
    ROUTES,
    "POST",
    "/audiences",
    name="create_audience",
    body=AudienceIn,
    answer=Started,
    status=202,
    multipart=True,
    limit=UPLOAD_LIMIT,
)
async def create(ask: Ask) -> Any:
    """Upload a list of people; a worker matches it."""
    return {"id": await take_audience(ask.conn, ask.body, ask.viewer.name)}


@call(ROUTES, "GET", "/audiences", name="list_audiences", answer=Page[AudienceOut], allow=READERS, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """All lists, by id."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    found = await fetch_page(ask.conn, audience_rows(), asked, {"id": audiences.c.id}, audiences.c.id)
    return paged(found.rows, found.next, lambda row: _record(ask, audience_of(row)))


@call(ROUTES, "GET", "/audiences/{id:int}", name="get_audience", answer=AudienceOut, allow=READERS)
async def show(ask: Ask) -> Any:
    """How a list stands."""
    return _record(ask, await audience(ask.conn, ask.id))


@call(ROUTES, "GET", "/audiences/{id:int}/rejects", name="get_audience_rejects", allow=READERS, detached=True)
async def rejects(ask: Ask) -> StreamingResponse:
    """The lines that matched nobody, or not just one customer, as a CSV file."""
    async with ask.house.database.connect() as conn:
        found = await audience(conn, ask.id)
    if found.import_id is None:
        raise NotFound(f"audience {found.id} ({found.name}) was made without a file")
    return await csv_download(ask.house.database, rejects_csv, found.import_id, f"audience-{found.id}-rejects.csv")


def _record(ask: Ask, found: Audience) -> dict[str, Any]:
    refused = found.unmatched + found.ambiguous + found.duplicates
    url = f"{ask.house.settings.public_url}{BASE}/audiences/{found.id}/rejects"
    return {**vars(found), "rejects_url": url if refused else None}

"""Uploaded lists of people: a file of identities, matched to customers by a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from runtime.errors import Invalid, Problem
from segments.audiences import (
    LINE_KINDS,
    Audience,
    audience,
    audience_of,
    audience_rows,
    delete_audience,
    look_again,
    rename_audience,
)
from segments.models import audiences
from web.access import READERS, Route
from web.api.contract import BASE, Ask, Body, call
from web.api.shapes import PAGE_QUERY, Page, Started, paged
from web.downloads import lines_download
from web.listing import fetch_page, read_listing
from web.uploads import UPLOAD_LIMIT, take_audience

ROUTES: list[Route] = []


class AudienceIn(BaseModel):
    """A multipart form."""

    name: str
    file: bytes = Field(json_schema_extra={"format": "binary"})
    mapping: str | None = Field(default=None, description="a mapping as JSON; guessed from the headers without one")
    create_missing: bool = Field(
        default=False, description="people whom nobody knows become customers; needs consent_source"
    )
    consent_source: str | None = Field(
        default=None, max_length=200, description="where and when they consented to marketing, as `Fair 2026, stand 4`"
    )
    consent_text: str | None = Field(default=None, max_length=200, description="what they agreed to, or its version")
    consent_channels: str | None = Field(
        default=None, description="for which channels, with commas; those that a line has an address of without it"
    )


class AudienceOut(BaseModel):
    """rows = matched + unmatched + ambiguous + duplicates, in lines of the file; created are among those matched."""

    id: int
    name: str
    state: str
    rows: int
    matched: int
    unmatched: int
    ambiguous: int
    duplicates: int
    created: int
    rejects_url: str | None
    error: str | None
    created_at: datetime


class AudienceChange(Body):
    name: str


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


@call(ROUTES, "PATCH", "/audiences/{id:int}", name="rename_audience", body=AudienceChange, answer=AudienceOut)
async def change(ask: Ask) -> Any:
    """Give a list another name."""
    return _record(ask, await rename_audience(ask.conn, ask.id, ask.body.name))


@call(ROUTES, "DELETE", "/audiences/{id:int}", name="delete_audience", status=204)
async def remove(ask: Ask) -> None:
    """Forget a list; its customers stay. Refused while segments or campaigns use it."""
    await delete_audience(ask.conn, ask.id)


@call(ROUTES, "POST", "/audiences/{id:int}/match", name="match_audience_again", answer=AudienceOut, status=202)
async def again(ask: Ask) -> Any:
    """Look again for those whom nobody knew, or several people were; a worker does."""
    await look_again(ask.conn, ask.id)
    return _record(ask, await audience(ask.conn, ask.id))


@call(
    ROUTES,
    "GET",
    "/audiences/{id:int}/rejects",
    name="get_audience_rejects",
    allow=READERS,
    detached=True,
    query={"kind": f"only these lines: {', '.join(LINE_KINDS)}"},
)
async def rejects(ask: Ask) -> StreamingResponse:
    """The lines that matched nobody, not just one customer, or one who was matched before, as a CSV file."""
    kind = ask.query("kind")
    if kind is not None and kind not in LINE_KINDS:
        raise Invalid(Problem("kind", f"{kind[:40]!r} is none of {', '.join(LINE_KINDS)}"))
    async with ask.house.database.connect() as conn:
        found = await audience(conn, ask.id)
    return await lines_download(ask.house.database, found, kind)


def _record(ask: Ask, found: Audience) -> dict[str, Any]:
    refused = found.unmatched + found.ambiguous + found.duplicates
    url = f"{ask.house.settings.public_url}{BASE}/audiences/{found.id}/rejects"
    return {**vars(found), "rejects_url": url if refused else None}

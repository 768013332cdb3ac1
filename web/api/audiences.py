"""Audiences: uploaded lists of people, matched to customers by a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from segments.audiences import audience, audience_of, audience_rows, create_audience, enqueue_audience
from segments.models import audiences
from web.access import READERS, Route
from web.api.contract import Ask, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.listing import fetch_page, read_listing
from web.uploads import UPLOAD_LIMIT, mapping_of, said_yes, store_pieces, uploaded

ROUTES: list[Route] = []


class AudienceIn(BaseModel):
    """A multipart form."""

    name: str
    file: bytes = Field(json_schema_extra={"format": "binary"})
    mapping: str | None = Field(default=None, description="a mapping as JSON; guessed from the headers without one")
    create_missing: bool = False


class Started(BaseModel):
    id: int


class Audience(BaseModel):
    """rows = matched + unmatched + ambiguous + duplicates, in lines of the file."""

    id: int
    name: str
    state: str
    rows: int
    matched: int
    unmatched: int
    ambiguous: int
    duplicates: int
    error: str | None
    created_by: str | None
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
    """Upload a list; a worker matches its lines to customers."""
    form = await ask.request.form()
    upload = uploaded(form)
    made = await create_audience(
        ask.conn,
        name=str(form.get("name", "")),
        filename=upload.filename or "file",
        mapping=await mapping_of(form),
        create_missing=said_yes(form, "create_missing"),
        by=ask.viewer.name,
    )
    assert made.import_id is not None
    await store_pieces(ask.conn, made.import_id, upload)
    await enqueue_audience(ask.conn, made.id)
    return {"id": made.id}


@call(ROUTES, "GET", "/audiences", name="list_audiences", answer=Page[Audience], allow=READERS, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """All lists, by id."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    found = await fetch_page(ask.conn, audience_rows(), asked, {"id": audiences.c.id}, audiences.c.id)
    return paged(found.rows, found.next, audience_of)


@call(ROUTES, "GET", "/audiences/{id:int}", name="get_audience", answer=Audience, allow=READERS)
async def show(ask: Ask) -> Any:
    """How a list stands."""
    return await audience(ask.conn, ask.id)

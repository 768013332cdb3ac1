"""Ready-made segments of the trade: read here, kept by `POST /segments`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from runtime.clock import local_date
from segments.ready_made import ReadyMade, ready_made, said
from web.access import READERS, Route
from web.api.contract import Ask, call
from web.api.shapes import Page

ROUTES: list[Route] = []


class Ready(BaseModel):
    code: str
    intention: str
    name: str
    description: str = Field(description="who they are")
    advice: str = Field(description="when to use it and what to offer")
    parameters: dict[str, int | str]
    rule: dict[str, Any]
    segment_id: int | None = Field(description="the kept segment of this very rule")


@call(ROUTES, "GET", "/segments/ready-made", name="list_ready_made", answer=Page[Ready], allow=READERS)
async def listing(ask: Ask) -> Any:
    """Segments of the trade, with what this workspace has filled in, for POST /segments."""
    found = await ready_made(ask.conn, local_date(ask.now, ask.house.settings.timezone))
    return {"items": [_told(one) for one in found], "next": None}


def _told(one: ReadyMade) -> dict[str, Any]:
    words = {name: said(getattr(one, name), "en") for name in ("name", "description", "advice")}
    return {**vars(one), **words}

"""Segments over time: sizes, who entered and left, and what falls due."""

from __future__ import annotations

import dataclasses
from datetime import date as day
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from runtime.errors import Invalid, Problem
from segments import feed, store
from segments.context import context_at
from segments.forecast import forecast
from segments.states import state_of
from web.access import READERS, SIGNED_IN, Route
from web.api.contract import Ask, call
from web.api.shapes import number_of
from web.listing import read_listing

ROUTES: list[Route] = []
DAYS = 30


class Size(BaseModel):
    day: day
    at: datetime = Field(description="the last evaluation of that day")
    size: int
    entered: int = Field(description="in the course of that day")
    left: int
    by_rule: bool = Field(description="the rule was changed that day")


class History(BaseModel):
    evaluated_at: datetime | None = Field(description="null before the first evaluation")
    items: list[Size]


class Change(BaseModel):
    customer_id: int
    external_id: str | None
    at: datetime
    entered: bool = Field(description="false: left")
    by_rule: bool = Field(description="since the rule was changed, not because of the customer")


class Changes(BaseModel):
    """`cursor` is always there: what to ask with later for what came since. `next`: null where there is no more yet."""

    items: list[Change]
    next: str | None
    cursor: str


class Day(BaseModel):
    day: day
    entered: int
    left: int


class Forecast(BaseModel):
    moves: bool = Field(description="whether the passing of time changes anything at all")
    entered: int
    left: int
    days: list[Day]


@call(
    ROUTES,
    "GET",
    "/segments/{id:int}/history",
    name="segment_history",
    answer=History,
    allow=READERS,
    query={"days": "of how many days, up to 3660; 366 unless told"},
)
async def history(ask: Ask) -> Any:
    """How a segment's size went, a row a day on which it was evaluated."""
    days = _days(ask, 366, 3660)
    items = await feed.history(ask.conn, ask.id, days=days)
    state = await state_of(ask.conn, ask.id)
    return {"evaluated_at": state and state.evaluated_at, "items": items}


@call(
    ROUTES,
    "GET",
    "/segments/{id:int}/changes",
    name="segment_changes",
    answer=Changes,
    allow=SIGNED_IN,
    query={"limit": "how many, 1 to 1000", "cursor": "`cursor` of the page before; `now`: only what comes from now on"},
)
async def changes(ask: Ask) -> Any:
    """Who entered and who left, oldest first, kept for 90 days: a feed to follow."""
    limit = read_listing(ask.request, ("at",), default="at", limit=100).limit
    asked = ask.query("cursor")
    if asked == "now":
        after: feed.Position | None = await feed.position(ask.conn, ask.id)
    else:
        after = None if asked is None else feed.read_position(asked)
    found = await feed.changes(ask.conn, ask.id, after, limit=limit, salesperson=ask.salesperson)
    cursor = str(found.position)
    return {"items": found.items, "next": cursor if found.more else None, "cursor": cursor}


@call(
    ROUTES,
    "GET",
    "/segments/{id:int}/forecast",
    name="segment_forecast",
    answer=Forecast,
    allow=SIGNED_IN,
    query={"days": "how many days ahead, up to 92; 30 unless told"},
)
async def forecasting(ask: Ask) -> Any:
    """Who will enter and leave as time passes, if nothing else happens."""
    found = await store.segment(ask.conn, ask.id)
    context = context_at(ask.now, ask.house.settings)
    told = await forecast(ask.conn, found.rule, context, days=_days(ask, DAYS, 92), salesperson=ask.salesperson)
    return {"entered": told.entered, "left": told.left, **dataclasses.asdict(told)}


def _days(ask: Ask, default: int, most: int) -> int:
    given = number_of("days", ask.query("days"))
    if given is not None and not 1 <= given <= most:
        raise Invalid(Problem("days", f"must be from 1 to {most}"))
    return given or default

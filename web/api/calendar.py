"""The calendar: what went out, was missed, and will go out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from campaigns.calendar import entries
from runtime.clock import local_date
from runtime.errors import Invalid, Problem
from segments.context import context_at
from web.access import READERS, Route
from web.api.contract import Ask, call
from web.calendar_days import month_of, span_of

ROUTES: list[Route] = []


class Entry(BaseModel):
    """A run (`state` its state), a due time that was missed, or one that is coming or (its campaign is paused)
    waiting."""

    campaign_id: int
    name: str
    channel: str
    kind: Literal["now", "at", "cron", "anchor"]
    at: datetime
    starts_at: datetime | None = Field(description="when its run starts, where that is ahead of the due time")
    state: str
    run_id: int | None
    people: int | None = Field(description="of the run's audience, or what is expected; null: not known")
    estimated: bool
    times: int = Field(description="several due times of one day told as one")
    late_seconds: float | None = Field(description="the run started so much after its due time")


class Calendar(BaseModel):
    first: date = Field(alias="from")
    last: date = Field(alias="to")
    items: list[Entry]


@call(
    ROUTES,
    "GET",
    "/calendar",
    name="get_calendar",
    answer=Calendar,
    allow=READERS,
    query={"from": "the first day; left out: of this month", "to": "the last day; left out: of the month of `from`"},
)
async def show(ask: Ask) -> Any:
    """What went out and what will, day by day of the workspace."""
    settings = ask.house.settings
    first = _day(ask, "from") or month_of(local_date(ask.now, settings.timezone))[0]
    last = _day(ask, "to") or month_of(first)[1]
    span = span_of(first, last, settings.zone, ask.now)
    found = await entries(ask.conn, span, context_at(ask.now, settings))
    items = [{**vars(one), "late_seconds": one.late.total_seconds() if one.late else None} for one in found]
    return {"from": first, "to": last, "items": items}


def _day(ask: Ask, name: str) -> date | None:
    given = ask.query(name)
    try:
        return None if given is None else date.fromisoformat(given)
    except ValueError:
        raise Invalid(Problem(name, f"{given!r} is not a date like 2026-11-30")) from None

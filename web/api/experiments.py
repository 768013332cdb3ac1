"""Tests of variants: what came of them, and their end by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.experiments.decide import decide_now, stop
from campaigns.experiments.lift import lift
from campaigns.experiments.outcome import outcomes
from web.access import Route
from web.api.contract import Ask, Body, call

ROUTES: list[Route] = []


class Interval(BaseModel):
    """A value, and what it may be in truth."""

    value: float
    low: float
    high: float


class Numbers(BaseModel):
    """What came of messages that were sent: by people, machines are counted for nothing. Intervals at the test's
    significance."""

    name: str | None = Field(description="null: the rest")
    sent: int
    opened: int
    clicked: int
    orders: int
    buyers: int
    revenue: str
    open_rate: Interval
    click_rate: Interval
    revenue_per_recipient: Interval


class Rest(Numbers):
    waiting: int


class Known(BaseModel):
    """What was known of a variant when it was decided."""

    name: str
    sent: int
    opened: int
    clicked: int
    orders: int
    buyers: int
    revenue: float
    squares: float


class Outcome(BaseModel):
    """The test of one run. `p`: how likely so large a lead over the others is by chance alone, null where too little is
    known to say."""

    run_id: int
    occurrence: datetime
    state: str = Field(description="testing, decided, stopped")
    due_at: datetime
    goal: str
    test_percent: float
    significance: float
    fallback: str
    winner: str | None = Field(description="the variant that the rest gets")
    how: str | None = Field(description="significant, first, leading, by_hand, stopped, cancelled")
    leader: str | None
    p: float | None
    decided_at: datetime | None
    decided_by: str | None = Field(description="null: by the numbers")
    decided_on: list[Known]
    variants: list[Numbers]
    rest: Rest


class Group(BaseModel):
    people: int
    buyers: int
    orders: int
    revenue: str
    buyer_rate: float
    orders_per_head: float
    revenue_per_head: float


class Lift(BaseModel):
    """All orders of those who got a message beside those of the held out, within `days` of the run. `buyer_rate`,
    `revenue_per_head`: the differences, with their intervals at `level`; `relative`: how many buyers more."""

    days: int
    level: float
    sent: Group
    held_out: Group
    buyer_rate: Interval
    revenue_per_head: Interval
    relative: float | None
    enough: bool = Field(description="whether there were buyers and people enough to tell")
    people_needed: int | None = Field(description="in the smaller group, to tell; null: too few bought")
    enough_for_revenue: bool = Field(description="whether the interval of revenue a head can be trusted")
    people_needed_for_revenue: int | None
    proved: bool = Field(description="whether the share of buyers differs, one way or the other")


class Findings(BaseModel):
    tests: list[Outcome] = Field(description="of each run, the latest first")
    lift: Lift | None = Field(description="null where nobody was held out")


class DecideIn(Body):
    variant: str | None = Field(default=None, description="by name; null: by the numbers as they stand")


async def findings(conn: AsyncConnection, campaign_id: int) -> dict[str, Any]:
    """What came of a campaign's variants, and what it sold beyond those who were held out."""
    found = await lift(conn, campaign_id)
    return {"tests": await outcomes(conn, campaign_id), "lift": None if found is None else found.to_json()}


@call(ROUTES, "POST", "/campaigns/{id:int}/experiment/decide", name="decide_experiment", body=DecideIn, answer=Findings)
async def decide(ask: Ask) -> Any:
    """End the test early: the rest gets a variant."""
    zone = ask.house.settings.zone
    await decide_now(ask.conn, ask.id, ask.body.variant, by=ask.viewer.name, now=ask.now, zone=zone)
    return await findings(ask.conn, ask.id)


@call(ROUTES, "POST", "/campaigns/{id:int}/experiment/stop", name="stop_experiment", answer=Findings)
async def end(ask: Ask) -> Any:
    """End the test without a winner: the rest gets nothing."""
    await stop(ask.conn, ask.id, by=ask.viewer.name, now=ask.now)
    return await findings(ask.conn, ask.id)

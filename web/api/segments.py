"""Segments: rules kept, counted, listed and explained."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from runtime.errors import Invalid, Problem
from segments import engine, looking, store
from segments.context import EvaluationContext, context_at
from segments.models import segments
from web.access import MIB, READERS, SIGNED_IN, Route
from web.api.contract import Ask, Body, Id, call
from web.api.shapes import PAGE_QUERY, Page, number_of, paged
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []
Rule = dict[str, Any]
RULE_LIMIT = MIB  # 200 conditions with their values


class SegmentIn(Body):
    name: str
    rule: Rule
    description: str = ""
    holdout_percent: float = Field(0.0, description="share of customers that no campaign to this segment is sent to")


class SegmentChange(Body):
    name: str | None = None
    rule: Rule | None = None
    description: str | None = None
    holdout_percent: float | None = None


class Segment(BaseModel):
    id: int
    name: str
    description: str
    rule: Rule
    count: int | None = Field(description="members at the last evaluation")
    counted_at: datetime | None
    holdout_percent: float = Field(description="share of customers that no campaign to this segment is sent to")
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class PreviewIn(Body):
    rule: Rule


class Person(BaseModel):
    id: int
    external_id: str | None
    name: str | None
    city: str | None
    community: str | None
    salesperson: str | None


class Preview(BaseModel):
    count: int
    sample: list[Person]
    took_ms: float


class Estimate(BaseModel):
    count: int
    low: int = Field(description="it is between this …")
    high: int = Field(description="… and this 19 times in 20")
    sampled: int = Field(description="customers asked")
    exact: bool = Field(description="all were asked, and the count is no estimate")
    took_ms: float


class Step(BaseModel):
    path: str
    kept: int = Field(description="left after this condition and those before it; of an `any`: come in by then")
    alone: int = Field(description="for whom this condition holds by itself")
    without: int = Field(description="who would belong if it were not there")


class Funnel(BaseModel):
    everyone: int
    count: int
    steps: list[Step]
    took_ms: float


class OverlapIn(Body):
    """Two sides, each a rule or the id of a segment."""

    a: Rule | Id
    b: Rule | Id


class Overlap(BaseModel):
    only_a: int
    both: int
    only_b: int
    took_ms: float


class Count(BaseModel):
    count: int


class Member(BaseModel):
    id: int
    external_id: str | None


class Held(BaseModel):
    path: str
    holds: bool


class Explanation(BaseModel):
    member: bool
    conditions: list[Held]


@call(ROUTES, "POST", "/segments", name="create_segment", body=SegmentIn, answer=Segment, status=201, limit=RULE_LIMIT)
async def create(ask: Ask) -> Any:
    """Keep a segment."""
    given: SegmentIn = ask.body
    return await store.create_segment(
        ask.conn,
        given.name,
        given.rule,
        description=given.description,
        holdout_percent=given.holdout_percent,
        by=ask.viewer.name,
    )


@call(ROUTES, "GET", "/segments", name="list_segments", answer=Page[Segment], allow=READERS, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """All segments, by id."""
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    found = await fetch_page(ask.conn, store.segment_rows(), asked, {"id": segments.c.id}, segments.c.id)
    return paged(found.rows, found.next, store.segment_of)


@call(
    ROUTES,
    "POST",
    "/segments/preview",
    name="preview_segment",
    body=PreviewIn,
    answer=Preview,
    allow=SIGNED_IN,
    limit=RULE_LIMIT,
)
async def preview(ask: Ask) -> Any:
    """How many belong to a rule, and some of them."""
    started = time.perf_counter()
    count = await engine.count(ask.conn, ask.body.rule, _context(ask), salesperson=ask.salesperson)
    sample = await engine.sample(ask.conn, ask.body.rule, _context(ask), salesperson=ask.salesperson)
    return {"count": count, "sample": sample, "took_ms": _since(started)}


@call(
    ROUTES,
    "POST",
    "/segments/estimate",
    name="estimate_segment",
    body=PreviewIn,
    answer=Estimate,
    allow=SIGNED_IN,
    limit=RULE_LIMIT,
)
async def estimate(ask: Ask) -> Any:
    """About how many belong to a rule, at once."""
    started = time.perf_counter()
    found = await looking.estimate(ask.conn, ask.body.rule, _context(ask), salesperson=ask.salesperson)
    return {**vars(found), "took_ms": _since(started)}


@call(
    ROUTES,
    "POST",
    "/segments/funnel",
    name="funnel_segment",
    body=PreviewIn,
    answer=Funnel,
    allow=SIGNED_IN,
    limit=RULE_LIMIT,
)
async def funnel(ask: Ask) -> Any:
    """How many each condition at the top of a rule leaves."""
    started = time.perf_counter()
    found = await looking.funnel(ask.conn, ask.body.rule, _context(ask), salesperson=ask.salesperson)
    return {**vars(found), "took_ms": _since(started)}


@call(
    ROUTES,
    "POST",
    "/segments/overlap",
    name="overlap_segments",
    body=OverlapIn,
    answer=Overlap,
    allow=SIGNED_IN,
    limit=RULE_LIMIT,
)
async def overlap(ask: Ask) -> Any:
    """How many belong to one rule or segment alone, to both, to the other alone."""
    started = time.perf_counter()
    a, b = [await _side(ask, name) for name in ("a", "b")]
    found = await looking.overlap(ask.conn, a, b, _context(ask), salesperson=ask.salesperson)
    return {**vars(found), "took_ms": _since(started)}


@call(ROUTES, "GET", "/segments/{id:int}", name="get_segment", answer=Segment, allow=READERS)
async def show(ask: Ask) -> Any:
    """One segment."""
    return await store.segment(ask.conn, ask.id)


@call(
    ROUTES, "PATCH", "/segments/{id:int}", name="change_segment", body=SegmentChange, answer=Segment, limit=RULE_LIMIT
)
async def change(ask: Ask) -> Any:
    """Change a segment; campaigns that run keep what was approved."""
    return await store.update_segment(ask.conn, ask.id, **ask.body.model_dump(exclude_none=True))


@call(ROUTES, "DELETE", "/segments/{id:int}", name="delete_segment", status=204)
async def remove(ask: Ask) -> None:
    """Forget a segment that nothing uses."""
    await store.delete_segment(ask.conn, ask.id)


@call(ROUTES, "GET", "/segments/{id:int}/count", name="count_segment", answer=Count, allow=SIGNED_IN)
async def count_members(ask: Ask) -> Any:
    """How many belong now."""
    found = await store.segment(ask.conn, ask.id)
    return {"count": await engine.count(ask.conn, found.rule, _context(ask), salesperson=ask.salesperson)}


@call(
    ROUTES,
    "GET",
    "/segments/{id:int}/members",
    name="list_members",
    answer=Page[Member],
    allow=SIGNED_IN,
    query=PAGE_QUERY,
)
async def members(ask: Ask) -> Any:
    """Who belongs now, by id."""
    found = await store.segment(ask.conn, ask.id)
    limit = read_listing(ask.request, ("id",), default="id", limit=100).limit
    cursor = number_of("cursor", ask.query("cursor"))
    page = await engine.members(
        ask.conn, found.rule, _context(ask), cursor=cursor, limit=limit, salesperson=ask.salesperson
    )
    return {"items": page.items, "next": None if page.next is None else str(page.next)}


@call(
    ROUTES,
    "GET",
    "/segments/{id:int}/explain",
    name="explain_member",
    answer=Explanation,
    allow=SIGNED_IN,
    query={"customer_id": "whom to explain"},
)
async def explain(ask: Ask) -> Any:
    """Whether a customer belongs, and which conditions hold for them."""
    found = await store.segment(ask.conn, ask.id)
    customer_id = number_of("customer_id", ask.query("customer_id"))
    if customer_id is None:
        raise Invalid(Problem("customer_id", "is required: the id of a customer"))
    return await engine.explain(ask.conn, found.rule, _context(ask), customer_id, salesperson=ask.salesperson)


async def _side(ask: Ask, name: str) -> engine.Prepared:
    """One side of an overlap, problems under its name."""
    given = getattr(ask.body, name)
    rule = (await store.segment(ask.conn, given)).rule if isinstance(given, int) else given
    try:
        return await engine.prepare(ask.conn, rule, _context(ask))
    except Invalid as error:
        raise Invalid(
            [Problem(f"{name}.{one.path}" if one.path else name, one.message) for one in error.problems]
        ) from None


def _since(started: float) -> float:
    """Milliseconds."""
    return round((time.perf_counter() - started) * 1000, 1)


def _context(ask: Ask) -> EvaluationContext:
    return context_at(ask.now, ask.house.settings)

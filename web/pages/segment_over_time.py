"""A segment's page: who belongs, how its size went, who entered and left, and what falls due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.models import customers
from runtime.clock import utc_now
from runtime.errors import Invalid
from runtime.text import fold
from segments import engine, feed, store
from segments.context import EvaluationContext, context_at
from segments.engine import Prepared
from segments.feed import Size
from segments.forecast import forecast
from segments.models import segment_changes
from segments.refresh import refresh_soon
from segments.states import State, failure_of, state_of
from segments.store import Segment
from web.access import MARKETERS, READERS, Route, house_of
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.pages.segment_builder import people_of
from web.render import page, redirect
from web.sentences import names_in, sentence

SHOWN = timedelta(days=90)
AHEAD = 30
SAMPLE = 12
SORTS = {"at": segment_changes.c.evaluation}
WAYS = {"entered": True, "left": False}


@dataclass(frozen=True)
class Now:
    """A segment as its page shows it. `count` None: its rule cannot be evaluated, `failure` says why; `pending`: it
    will be evaluated in a moment, and the count is of just now."""

    segment: Segment
    state: State | None
    count: int | None
    sample: Sequence[Any]
    failure: str | None

    @property
    def pending(self) -> bool:
        return self.segment.count is None and self.failure is None


async def show(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="-at", limit=10)
    way = request.query_params.get("way", "")
    async with house_of(request).database.connect() as conn:
        segment = await store.segment(conn, request.path_params["id"])
        told = sentence(segment.rule, await names_in(conn, [segment.rule]))
        found = await fetch_page(conn, _moves(segment.id, asked.q, way), asked, SORTS, segment_changes.c.customer_id)
        now = await _now(conn, segment, _context(request))
        days = _every_day(await feed.history(conn, segment.id, days=SHOWN.days))
    known: dict[str, Any] = {"segment": segment, "sentence": told, "now": now, "days": days, "found": found, "way": way}
    return page(request, "segments/show.html", partial="changes", listing=asked, **known)


async def evaluated(request: Request) -> Response:
    """Asked while an evaluation is awaited: once it is there the whole page is loaded anew."""
    async with house_of(request).database.connect() as conn:
        segment = await store.segment(conn, request.path_params["id"])
        failure = await failure_of(conn, segment.id)
    there = segment.count is not None or failure is not None
    headers = {"HX-Refresh": "true"} if there else {}
    return page(request, "segments/evaluated.html", headers=headers, segment=segment)


async def ahead(request: Request) -> Response:
    """What the coming days bring, computed when the page is there."""
    async with house_of(request).database.connect() as conn:
        segment = await store.segment(conn, request.path_params["id"])
        try:
            told = await forecast(conn, segment.rule, _context(request), days=AHEAD)
        except Invalid as error:
            return page(request, "segments/forecast.html", told=None, error=str(error), days=AHEAD)
    return page(request, "segments/forecast.html", told=told, error=None, days=AHEAD)


async def refresh(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        segment = await store.segment(conn, request.path_params["id"])
        await refresh_soon(conn, segment.id)
    return redirect(request, "segment", id=segment.id, flash=_("The segment is being evaluated."))


async def _now(conn: AsyncConnection, segment: Segment, context: EvaluationContext) -> Now:
    """The count that was kept; before the first evaluation one of this moment."""
    state, failure = await state_of(conn, segment.id), await failure_of(conn, segment.id)
    try:
        prepared = await engine.prepare(conn, segment.rule, context)
        count = segment.count if segment.count is not None else await engine.count(conn, prepared, context)
        sample = await _sample(conn, prepared, context)
    except Invalid as error:
        return Now(segment, state, None, [], str(error))
    return Now(segment, state, count, sample, failure)


async def _sample(conn: AsyncConnection, prepared: Prepared, context: EvaluationContext) -> Sequence[Any]:
    return await people_of(conn, await engine.sample(conn, prepared, context, size=SAMPLE))


def _moves(segment_id: int, q: str, way: str) -> Select[Any]:
    """The feed, with the people's names."""
    row = segment_changes.c
    who = (customers.c.name, customers.c.external_id)
    found = select(row.customer_id, row.at, row.entered, row.by_rule, *who).outerjoin(
        customers, customers.c.id == row.customer_id
    )
    narrowed: list[ColumnElement[bool]] = [row.segment_id == segment_id]
    if way in WAYS:
        narrowed.append(row.entered.is_(WAYS[way]))
    if q:
        named = customers.c.name_folded.contains(fold(q) or "", autoescape=True)
        narrowed.append(or_(named, customers.c.external_id == q))
    return found.where(*narrowed)


@dataclass(frozen=True)
class ChartDay:
    """A day of the chart; `size` None: nothing was evaluated that day."""

    day: date
    size: int | None
    entered: int
    left: int
    by_rule: bool


def _every_day(sizes: Sequence[Size]) -> list[ChartDay]:
    """From the first day known to the last, those without an evaluation too."""
    if not sizes:
        return []
    known = {each.day: each for each in sizes}
    last = sizes[-1].day
    first = max(sizes[0].day, last - SHOWN)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [_chart_day(day, known.get(day)) for day in days]


def _chart_day(day: date, size: Size | None) -> ChartDay:
    if size is None:
        return ChartDay(day, None, 0, 0, by_rule=False)
    return ChartDay(day, size.size, size.entered, size.left, size.by_rule)


def _context(request: Request) -> EvaluationContext:
    return context_at(utc_now(), house_of(request).settings)


ROUTES = [
    Route("/segments/{id:int}", show, "segment", READERS),
    Route("/segments/{id:int}/evaluated", evaluated, "segment_evaluated", READERS),
    Route("/segments/{id:int}/forecast", ahead, "segment_forecast", READERS),
    Route("/segments/{id:int}/refresh", refresh, "segment_refresh", MARKETERS, methods=("POST",)),
]

"""Salespeople: the ranking of a month, one score part by part, and the records behind each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.models import salespeople
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Problem
from sales.evidence import evidence as records_behind
from sales.period import Period, period_of, read_period
from sales.scores import Score, ranking, trend
from web.access import SIGNED_IN, Route, Viewer, house_of, viewer_of
from web.i18n import N_, _
from web.listing import Listing, read_listing
from web.render import page

PARTS = {
    "coverage": (N_("Coverage"), N_("Households with an appliance on record")),
    "freshness": (N_("Freshness"), N_("Of those, whose record was made or confirmed in the last 18 months")),
    "response": (N_("Response"), N_("Follow-ups that were done in time")),
    "conversion": (N_("Conversion"), N_("Of those who clicked or were followed up, who ordered within 30 days")),
    "margin": (N_("Margin"), N_("Gross margin of this month's orders, where the cost is known")),
    "satisfaction": (
        N_("Satisfaction"),
        N_("Good ratings; bad ones, complaints and unsubscribes after a contact count against"),
    ),
    "growth": (N_("Growth"), N_("Households that are new this month, against those known before")),
}
SORTS = ("rank", "name", "customers", "score", *PARTS)
MONTHS = 12


async def listing(request: Request) -> Response:
    """The ranking, as it stood some minutes ago; it is small, so it is sorted, searched and cut into pages here."""
    asked = read_listing(request, SORTS, default="rank")
    house, viewer = house_of(request), viewer_of(request)
    period = asked_period(request)
    async with house.database.connect() as conn:
        scores = await ranking(conn, period, lately=True, anew=viewer.salesperson)
    shown = [
        one
        for one in scores
        if _may_see(viewer, one.code) and asked.q.casefold() in f"{one.name} {one.code}".casefold()
    ]
    shown.sort(key=lambda one: _sort_key(one, asked.sort), reverse=asked.descending)
    return page(
        request,
        "salespeople/list.html",
        partial="results",
        listing=asked,
        found=_cut(shown, asked),
        period=period,
        months=month_names(utc_now(), request),
        parts=PARTS,
        spread=_spread(scores) if not viewer.own_only else [],
    )


async def show(request: Request) -> Response:
    house = house_of(request)
    period = asked_period(request)
    async with house.database.connect() as conn:
        code = await _code(conn, request)
        team = await ranking(conn, period, lately=True, anew=code)
        found = next(one for one in team if one.code == code)
        months = await trend(conn, code, month_names(utc_now(), request)[5::-1])
    return page(
        request,
        "salespeople/show.html",
        found=found,
        period=period,
        months=month_names(utc_now(), request),
        parts=PARTS,
        trend=[{"name": name, "score": score} for name, score in {**months, **_known(months, found, period)}.items()],
        spread=_spread(team),
        middle=_middle(team),
    )


async def evidence(request: Request) -> Response:
    """The records that a part of a score was counted from."""
    part = request.path_params["part"]
    if part not in PARTS:
        raise NotFound(f"a score has no part {part!r}")
    asked = read_listing(request, ("customer",), default="customer")
    period = asked_period(request)
    async with house_of(request).database.connect() as conn:
        await _code(conn, request)
        whose = select(salespeople).where(salespeople.c.id == request.path_params["id"])
        found = (await conn.execute(whose)).one()
        behind = await records_behind(conn, found.id, period, part, asked.cursor, asked.limit)
    return page(
        request,
        "salespeople/evidence.html",
        partial="results",
        salesperson=found,
        part=part,
        label=_(PARTS[part][0]),
        meaning=_(PARTS[part][1]),
        period=period,
        listing=asked,
        found={"rows": behind.items, "next": behind.next},
    )


def asked_period(request: Request) -> Period:
    """The month that the address names, the present one unless told."""
    zone, name = house_of(request).settings.zone, request.query_params.get("period")
    return read_period(name, zone) if name else period_of(utc_now(), zone)


def month_names(now: datetime, request: Request) -> list[str]:
    """The last twelve months by name, the present one first."""
    local = now.astimezone(house_of(request).settings.zone)
    first = local.year * 12 + local.month - 1
    return [f"{month // 12}-{month % 12 + 1:02}" for month in range(first, first - MONTHS, -1)]


def _spread(scores: Sequence[Score]) -> list[int]:
    """How many salespeople have 0 to 9 points, 10 to 19 … 90 and more."""
    found = [0] * 10
    for one in scores:
        if one.score is not None:
            found[min(int(one.score) // 10, 9)] += 1
    return found


def _middle(scores: Sequence[Score]) -> dict[str, Decimal]:
    """The team's median points of each part."""
    return {
        name: median(part.points for one in scores for part in one.parts if part.name == name)
        for name in (PARTS if scores else ())
    }


def _may_see(viewer: Viewer, code: str) -> bool:
    return not viewer.own_only or viewer.salesperson == code


def _cut(shown: Sequence[Score], asked: Listing) -> dict[str, Any]:
    """One page of a list that is here as a whole; its cursor is a place in it."""
    given = asked.cursor or "0"
    if not (given.isascii() and given.isdecimal() and len(given) < 9):
        raise Invalid(Problem("cursor", "is not one that a list gave out; start again without it"))
    begin, end = int(given), int(given) + asked.limit
    return {"rows": shown[begin:end], "next": str(end) if end < len(shown) else None}


def _known(months: Mapping[str, Any], found: Score, period: Period) -> dict[str, Decimal | None]:
    """The month that is shown has the score that is shown."""
    return {period.name: found.score} if period.name in months else {}


async def _code(conn: AsyncConnection, request: Request) -> str:
    """Of the salesperson whom the address names. Raises NotFound, also for another one than who looks."""
    code = await conn.scalar(select(salespeople.c.code).where(salespeople.c.id == request.path_params["id"]))
    if code is None or not _may_see(viewer_of(request), code):
        raise NotFound(f"there is no salesperson {request.path_params['id']}")
    return str(code)


def _sort_key(one: Any, key: str) -> tuple[bool, Any]:
    """Missing values last when ascending."""
    value = next((part.points for part in one.parts if part.name == key), None) if key in PARTS else getattr(one, key)
    return (value is None, value if value is not None else 0)


ROUTES = [
    Route("/salespeople", listing, "salespeople", SIGNED_IN),
    Route("/salespeople/{id:int}", show, "salesperson", SIGNED_IN),
    Route("/salespeople/{id:int}/{part}", evidence, "salesperson_evidence", SIGNED_IN),
]

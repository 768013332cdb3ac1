"""Salespeople: who they are, their score of a month, and the records behind it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select

from customers.models import salespeople
from runtime.errors import NotFound
from sales import evidence as behind
from sales import scores
from sales.period import Period, period_of, read_period
from web.access import SIGNED_IN, Route
from web.api.contract import BASE, Ask, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []
PERIOD = {"period": "a month of the workspace like 2026-11; the present one unless told"}


class Salesperson(BaseModel):
    id: int
    code: str
    name: str | None
    phone: str | None
    email: str | None
    dealer: str | None
    active: bool


class Part(BaseModel):
    """One part of a score: `counted` of `total` records count towards `value`, which earns `weight` at `target`.

    `method` "matched": `value` is `actual` over `expected`, what matched households brought elsewhere; else "plain".
    `share`: what those bring whom a campaign held out, of what it brings from those written to; `expected` is as much
    less. Null where no campaign of the month says.
    """

    name: str
    value: Decimal | None
    target: Decimal
    weight: Decimal
    points: Decimal
    counted: int
    total: int
    method: str
    actual: Decimal | None
    expected: Decimal | None
    share: Decimal | None
    evidence_url: str


class Score(BaseModel):
    """`score` is the sum of the points, of 100; null where nothing could be measured."""

    period: str
    score: Decimal | None
    rank: int
    customers: int
    parts: list[Part]


class Evidence(BaseModel):
    """A record that a part looked at, and whether it counts."""

    customer_id: int
    external_id: str | None
    name: str | None
    item: str | None
    at: datetime | None
    counts: bool
    amount: Decimal | None


@call(ROUTES, "GET", "/salespeople", name="salespeople", answer=Page[Salesperson], allow=SIGNED_IN, query=PAGE_QUERY)
async def listing(ask: Ask) -> Any:
    """Salespeople by code."""
    asked = read_listing(ask.request, ("code",), default="code")
    statement = select(salespeople)
    if ask.salesperson is not None:
        statement = statement.where(salespeople.c.code == ask.salesperson)
    found = await fetch_page(ask.conn, statement, asked, {"code": salespeople.c.code}, salespeople.c.id)
    return paged(found.rows, found.next, lambda row: row)


@call(
    ROUTES, "GET", "/salespeople/{id:int}/score", name="salesperson_score", answer=Score, allow=SIGNED_IN, query=PERIOD
)
async def score(ask: Ask) -> Any:
    """The score of a month, part by part."""
    await _check_own(ask)
    period = _period(ask)
    found = await scores.score(ask.conn, ask.id, period, lately=True)
    base = f"{ask.house.settings.public_url}{BASE}/salespeople/{ask.id}/score/evidence?period={period.name}&part="
    parts = [{**vars(part), "evidence_url": base + part.name} for part in found.parts]
    return {**vars(found), "period": period.name, "parts": parts}


@call(
    ROUTES,
    "GET",
    "/salespeople/{id:int}/score/evidence",
    name="salesperson_evidence",
    answer=Page[Evidence],
    allow=SIGNED_IN,
    query={"part": "coverage, freshness, response, conversion, margin, satisfaction or growth", **PERIOD, **PAGE_QUERY},
)
async def evidence(ask: Ask) -> Any:
    """The records behind a part of a score, by customer."""
    await _check_own(ask)
    asked = read_listing(ask.request, ("customer",), default="customer")
    return await behind.evidence(ask.conn, ask.id, _period(ask), ask.query("part") or "", asked.cursor, asked.limit)


def _period(ask: Ask) -> Period:
    name, zone = ask.query("period"), ask.house.settings.zone
    return period_of(ask.now, zone) if name is None else read_period(name, zone)


async def _check_own(ask: Ask) -> None:
    """A salesperson sees their own numbers alone."""
    code = await ask.conn.scalar(select(salespeople.c.code).where(salespeople.c.id == ask.id))
    if code is None or ask.salesperson not in (None, code):
        raise NotFound(f"there is no salesperson {ask.id}")

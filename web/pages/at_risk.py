"""Customers whom one is about to lose, those with most at stake first; a salesperson sees their own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Numeric, cast, func, literal, select
from starlette.requests import Request
from starlette.responses import Response

from customers.chances import FEWEST, TOO_FEW, estimate_of
from customers.models import activity, communities, customers, salespeople
from customers.reading import Search, find_customers
from runtime.clock import utc_now
from web.access import SIGNED_IN, Route, house_of, viewer_of
from web.listing import fetch_page, read_listing
from web.names import names_of
from web.render import page
from web.risk_words import SAFE, level_of

_YEAR, _SHORTEST = 365, 7  # days; nobody's yearly orders are reckoned from a few busy days

AT_STAKE = (
    activity.c.average_order_value
    * (literal(_YEAR, Numeric) / func.greatest(activity.c.order_gap_days, _SHORTEST))
    * (1 - activity.c.chance_active)
)
"""What a year of theirs was worth at their own rhythm, times the chance that they have left."""

SORTS = {
    "at_stake": AT_STAKE,
    "name": customers.c.name_folded,
    "chance_active": activity.c.chance_active,
    "last_order_at": activity.c.last_order_at,
    "total_spent": activity.c.total_spent,
}


async def listing(request: Request) -> Response:
    house, viewer = house_of(request), viewer_of(request)
    asked = read_listing(request, tuple(SORTS), default="-at_stake")
    whose = (viewer.salesperson or "") if viewer.own_only else request.query_params.get("salesperson") or None
    found = find_customers(Search(q=asked.q or None, salesperson=whose), house.settings)
    at_stake = cast(AT_STAKE, Numeric(18, 2)).label("at_stake")
    statement = found.add_columns(at_stake).where(activity.c.chance_active < SAFE)
    async with house.database.connect() as conn:
        rows = await fetch_page(conn, statement, asked, SORTS, customers.c.id)
        estimate = await estimate_of(conn)
        context: dict[str, Any] = {
            "salespeople": await names_of(conn, salespeople, (row.salesperson for row in rows.rows)),
            "communities": await names_of(conn, communities, (row.community for row in rows.rows)),
            "everybody": [] if viewer.own_only else (await conn.execute(_SALESPEOPLE)).all(),
        }
    return page(
        request,
        "customers/at_risk.html",
        partial="results",
        listing=asked,
        found=rows,
        estimate=estimate,
        too_few=estimate is not None and estimate.lacking == TOO_FEW,
        fewest=FEWEST,
        whose=whose,
        level_of=level_of,
        now=utc_now(),
        **context,
    )


_SALESPEOPLE = (
    select(salespeople.c.code, func.coalesce(salespeople.c.name, salespeople.c.code).label("name"))
    .where(salespeople.c.active)
    .order_by(salespeople.c.name)
    .limit(500)
)

ROUTES = [Route("/at-risk", listing, "at_risk", SIGNED_IN)]

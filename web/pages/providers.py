"""Service providers: how soon they come, how often in time, and what customers say of them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from sales.providers import PROMISED, providers
from web.access import SIGNED_IN, Route, house_of, viewer_of
from web.listing import read_listing
from web.pages.salespeople import asked_period, month_names
from web.render import page


async def listing(request: Request) -> Response:
    viewer, now = viewer_of(request), utc_now()
    period = asked_period(request)
    own = (viewer.salesperson or "") if viewer.own_only else None
    async with house_of(request).database.connect() as conn:
        found = await providers(conn, period, now, salesperson=own)
    return page(
        request,
        "follow_ups/providers.html",
        partial="results",
        listing=read_listing(request, ("name",), default="name"),
        found={"rows": found, "next": None},
        period=period,
        months=month_names(now, request),
        promised=PROMISED,
    )


ROUTES = [Route("/service-providers", listing, "providers", SIGNED_IN)]

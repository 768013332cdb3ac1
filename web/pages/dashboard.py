"""The dashboard: the workspace at a glance; a salesperson sees their own customers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from campaigns.overview import coming, days, latest
from campaigns.report import campaign_lines
from customers import overview
from runtime.clock import local_date, utc_now
from runtime.registry import channel_kinds
from sales.period import period_of
from sales.scores import ranking
from web.access import SIGNED_IN, Route, house_of, viewer_of
from web.pages.campaigns_live import glance_of
from web.render import page
from web.sentences import category_names

CHANNEL = "email"  # of the tile that says how many can be reached
LATELY = timedelta(days=30)
BEST = 5


async def show(request: Request) -> Response:
    house, viewer, now = house_of(request), viewer_of(request), utc_now()
    own = (viewer.salesperson or "") if viewer.own_only else None
    zone = house.settings.timezone
    today = local_date(now, zone)
    channel = channel_kinds()[CHANNEL]
    async with house.database.connect() as conn:
        context: dict[str, Any] = {
            "totals": await overview.totals(conn, since=now - LATELY, now=now, channel=channel, salesperson=own),
            "months": await overview.months(conn, now=now, timezone=zone, salesperson=own),
            "ages": await overview.ages(conn, today=today, salesperson=own),
            "categories": await category_names(conn),
            "days": [] if viewer.own_only else await days(conn, now=now, timezone=zone),
            "campaigns": [] if viewer.own_only else await campaign_lines(conn, await latest(conn)),
            "coming": [] if viewer.own_only else await coming(conn),
            "scores": [
                one
                for one in await ranking(conn, period_of(now, house.settings.zone), lately=True)
                if own in (None, one.code)
            ][:BEST],
        }
    context["glance"] = None if viewer.own_only else await glance_of(house)
    return page(request, "dashboard/show.html", partial=None, oldest=overview.OLDEST, **context)


ROUTES = [Route("/dashboard", show, "dashboard", SIGNED_IN)]

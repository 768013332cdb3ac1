"""The dashboard: the workspace at a glance; a salesperson sees their own customers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from campaigns import workspace
from campaigns.overview import coming, latest
from campaigns.report import campaign_lines
from customers import overview
from runtime.clock import local_date, utc_now
from runtime.house import House
from runtime.registry import channel_kinds
from sales.months import is_kept
from sales.period import period_of
from sales.scores import Score, ranking
from web.access import SIGNED_IN, Route, house_of, viewer_of
from web.pages.campaigns_live import glance_of
from web.render import page
from web.sentences import category_names

BEST = 5


async def show(request: Request) -> Response:
    house, viewer, now = house_of(request), viewer_of(request), utc_now()
    context = await _own(house, viewer.salesperson or "", now) if viewer.own_only else await _whole(house, now)
    return page(request, "dashboard/show.html", partial=None, oldest=overview.OLDEST, **context)


async def _whole(house: House, now: datetime) -> dict[str, Any]:
    """Of the workspace."""
    async with house.database.begin() as conn:
        known = await workspace.overview(conn, now=now, timezone=house.settings.timezone)
        told = {
            "totals": known.totals,
            "months": known.months,
            "ages": known.ages,
            "days": known.days,
            "counted_at": known.counted_at if known.kept else None,
            "categories": await category_names(conn),
            "campaigns": await campaign_lines(conn, await latest(conn)),
            "coming": await coming(conn),
            "scores": (await _scores(conn, house, now))[:BEST],
        }
    return {**told, "glance": await glance_of(house)}


async def _own(house: House, salesperson: str, now: datetime) -> dict[str, Any]:
    """Of one salesperson's customers."""
    zone, channel = house.settings.timezone, channel_kinds()[workspace.CHANNEL]
    since, today = now - workspace.LATELY, local_date(now, zone)
    async with house.database.connect() as conn:
        return {
            "totals": await overview.totals(conn, since=since, now=now, channel=channel, salesperson=salesperson),
            "months": await overview.months(conn, now=now, timezone=zone, salesperson=salesperson),
            "ages": await overview.ages(conn, today=today, salesperson=salesperson),
            "categories": await category_names(conn),
            "scores": [one for one in await _scores(conn, house, now) if one.code == salesperson],
            **dict.fromkeys(("counted_at", "days", "campaigns", "coming", "glance")),  # not for them
        }


async def _scores(conn: AsyncConnection, house: House, now: datetime) -> list[Score]:
    """Of this month; in the first minutes of one a large workspace waits for them to be counted in the background."""
    period = period_of(now, house.settings.zone)
    if await workspace.large(conn) and not await is_kept(conn, period):
        return []
    return await ranking(conn, period, lately=True)


ROUTES = [Route("/dashboard", show, "dashboard", SIGNED_IN)]

"""What goes on in a campaign and what came of it. Of a large one that goes on the page comes first, and the numbers,
which take a scan of its messages, after it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from campaigns import report, store
from campaigns.models import runs
from campaigns.states import NEXT
from runtime.house import House
from web.access import READERS, Route, house_of
from web.live import hub_of
from web.pages.campaigns_live import live_context, picture_of
from web.render import page

MANY = 50_000  # people; so many are counted in a tenth of a second


async def parts(request: Request) -> Response:
    """The report of a campaign whose page is there already."""
    async with house_of(request).database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        context = await _came_of_it(conn, found)
    return page(request, "campaigns/report_parts.html", campaign=found, moving=bool(NEXT[found.state]), **context)


async def report_context(house: House, found: store.Campaign, *, counted: bool) -> dict[str, Any]:
    """For campaigns/report.html. `counted`: with all numbers, however long that takes; otherwise `picture` and `record`
    are None of a large one that goes on and that nobody watches."""
    moving = bool(NEXT[found.state])
    later = moving and not counted and await _many(house, found.id)
    known = hub_of(house).watcher.picture(found.id) if moving else None
    picture = known if later or not moving else known or await picture_of(house, found.id)
    live = live_context(picture) if picture else {"picture": None}
    if later:
        return {"moving": moving, "record": None, **live}
    async with house.database.connect() as conn:
        return {"moving": moving, **live, **await _came_of_it(conn, found)}


async def _many(house: House, campaign_id: int) -> bool:
    people = select(func.coalesce(func.sum(runs.c.people), 0)).where(runs.c.campaign_id == campaign_id)
    async with house.database.connect() as conn:
        return int(await conn.scalar(people) or 0) > MANY


async def _came_of_it(conn: AsyncConnection, found: store.Campaign) -> dict[str, Any]:
    """What came of it so far. Providers and answers of one that goes on are in its live part."""
    over = not NEXT[found.state]
    record = await report.campaign_record(conn, found.id)
    return {
        "record": record,
        "hours": await report.hourly(conn, found.id),
        "links": await report.links(conn, found.id),
        "domains": await report.domains(conn, found.id) if over else [],
        "answers": await report.answers(conn, [run["id"] for run in record["runs"]]) if over else [],
    }


ROUTES = [Route("/campaigns/{id:int}/report", parts, "campaign_report", READERS)]

"""What goes on in a campaign and what came of it. Of a large one the numbers are those that were counted in the
background some minutes ago; while there are none yet, the page comes first and they after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from campaigns import figures, report, store
from campaigns.attribution import Model
from campaigns.content import RenderFailed
from campaigns.figures import Figures
from campaigns.heat import heat
from campaigns.states import NEXT
from campaigns.windows import costs, own_costs, save_own_costs, windows_now
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.house import House
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.downloads import table_csv
from web.i18n import N_, _
from web.live import hub_of
from web.pages.campaigns_live import live_context, picture_of
from web.render import fragment, mail_frame, page, redirect

MANY = 20_000  # messages; so many are counted, broken down and credited in a tenth of a second

# What can be had as CSV: the figures' name, and its columns by what heads them.
TABLES: Mapping[str, Mapping[str, str]] = {
    "hours": {"at": N_("Hour"), "sent": N_("Sent"), "opened": N_("Opened"), "clicked": N_("Clicked")},
    "links": {
        "link": N_("Link"),
        "people": N_("Customers"),
        "clicks": N_("Clicks"),
        "machine_clicks": N_("by machines"),
    },
    "domains": {
        "domain": N_("Domain"),
        "audience": N_("Audience"),
        "sent": N_("Sent"),
        "bounced": N_("Bounced"),
        "opened": N_("Opened"),
        "clicked": N_("Clicked"),
    },
    "cities": {
        "city": N_("City"),
        "sent": N_("Sent"),
        "opened": N_("Opened"),
        "clicked": N_("Clicked"),
        "unsubscribed": N_("Unsubscribed"),
    },
    "salespeople": {
        "code": N_("Code"),
        "name": N_("Name"),
        "sent": N_("Sent"),
        "opened": N_("Opened"),
        "clicked": N_("Clicked"),
        "unsubscribed": N_("Unsubscribed"),
    },
    "systems": {"name": N_("System"), "people": N_("Customers")},
    "programs": {"name": N_("Program"), "people": N_("Customers")},
}


async def parts(request: Request) -> Response:
    """The report of a campaign whose page is there already."""
    async with house_of(request).database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        known = await known_figures(conn, found.id)
        context = await _came_of_it(conn, found, known)
    return page(request, "campaigns/report_parts.html", campaign=found, moving=bool(NEXT[found.state]), **context)


async def heat_frame(request: Request) -> Response:
    """The mail with each link's share of the clicks on it, into the page's frame."""
    house, campaign_id = house_of(request), request.path_params["id"]
    try:
        async with house.database.connect() as conn:
            clicks = (await _figures(conn, campaign_id)).links
            html = await heat(conn, campaign_id, clicks, settings=house.settings, now=utc_now())
    except (Conflict, Invalid, RenderFailed) as error:
        problems = error.problems if isinstance(error, Invalid) else [Problem("", str(error))]
        return mail_frame(fragment(request, "campaigns/frame_error.html", problems=problems))
    return mail_frame(html, remote_images=True)


async def download(request: Request) -> Response:
    """One of TABLES as CSV."""
    name = request.path_params["table"]
    if name not in TABLES:
        raise NotFound(f"a report has no table {name!r}: there are {', '.join(TABLES)}")
    async with house_of(request).database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        rows = _rows(await _figures(conn, found.id), name)
    columns = TABLES[name]
    lines = [[_cell(row[column]) for column in columns] for row in rows]
    return table_csv([_(label) for label in columns.values()], lines, f"campaign-{found.id}-{name}.csv")


async def save_costs(request: Request) -> Response:
    campaign_id, sent = request.path_params["id"], await request.form()
    given = [str(sent.get(name, "")).strip()[:30] for name in ("fixed", "per_message")]
    async with house_of(request).database.begin() as conn:
        await store.campaign(conn, campaign_id)
        try:
            await save_own_costs(conn, campaign_id, *given, by=viewer_of(request).name, now=utc_now())
        except Invalid as error:
            return redirect(request, "campaign", id=campaign_id, flash=error.problems[0].message, kind="danger")
    return redirect(request, "campaign", id=campaign_id, flash=_("Saved."))


async def report_context(house: House, found: store.Campaign, *, counted: bool) -> dict[str, Any]:
    """For campaigns/report.html. `counted`: with all numbers, however long that takes; otherwise of a large one
    `record` is None while nobody counted it yet, and `picture` while nobody watches it: it comes with the stream."""
    moving = bool(NEXT[found.state])
    async with house.database.connect() as conn:
        large = not counted and await _many(conn, found.id)
        known = (await figures.kept(conn, [found.id])).get(found.id) if large else None
    later = large and known is None
    seen = hub_of(house).watcher.picture(found.id) if moving else None
    picture = seen if large or not moving else seen or await picture_of(house, found.id)
    live = live_context(picture) if picture else {"picture": None}
    if later:
        return {"moving": moving, "record": None, **live}
    async with house.database.connect() as conn:
        return {"moving": moving, **live, **await _came_of_it(conn, found, known)}


async def _many(conn: AsyncConnection, campaign_id: int) -> bool:
    return await figures.people_of(conn, campaign_id) > MANY


async def known_figures(conn: AsyncConnection, campaign_id: int) -> Figures | None:
    """Of a large campaign as they were kept; None where they are counted for who asks."""
    known = await figures.kept(conn, [campaign_id]) if await _many(conn, campaign_id) else {}
    return known.get(campaign_id)


async def _figures(conn: AsyncConnection, campaign_id: int) -> Figures:
    return await known_figures(conn, campaign_id) or await figures.count(conn, campaign_id, utc_now())


async def _came_of_it(conn: AsyncConnection, found: store.Campaign, known: Figures | None = None) -> dict[str, Any]:
    """What came of it so far. Providers and answers of one that goes on are in its live part."""
    shown = known or await figures.count(conn, found.id, utc_now())
    record = await report.record_of(conn, found.id, shown.counts, shown.earned[Model.LAST])
    cost = (await costs(conn, {found.id: shown.total.sent})).get(found.id)
    return {
        "record": record,
        "shown": shown,
        "kept": known is not None,
        "credit": shown.earned,
        "cost": cost,
        "own_costs": await own_costs(conn, found.id),
        "windows": await windows_now(conn),
        "hours": shown.hours,
        "links": shown.links,
        "domains": shown.domains,
        "answers": shown.answers,
        "heat_links": any(link["clicks"] for link in shown.links),
    }


def _rows(shown: Figures, name: str) -> Sequence[Mapping[str, Any]]:
    return shown.devices[name] if name in shown.devices else getattr(shown, name)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


ROUTES = [
    Route("/campaigns/{id:int}/report", parts, "campaign_report", READERS),
    Route("/campaigns/{id:int}/heat", heat_frame, "campaign_heat", READERS),
    Route("/campaigns/{id:int}/report/{table}.csv", download, "campaign_table", READERS),
    Route("/campaigns/{id:int}/costs", save_costs, "campaign_costs", MARKETERS, methods=("POST",)),
]

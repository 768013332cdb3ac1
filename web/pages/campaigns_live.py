"""What is being sent right now, as streams of events: one campaign, or all at a glance."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from campaigns import store
from campaigns.live.figures import Picture
from campaigns.live.heads import heads, warned
from campaigns.live.watcher import ALL, Glance, look
from campaigns.states import ALLOWED, NEXT, Verb
from runtime.clock import utc_now
from runtime.house import House
from web.access import READERS, Route, house_of
from web.live import hub_of, stream, wants_events
from web.render import fragment, redirect


async def campaign_stream(request: Request) -> Response:
    """The live part of a campaign's page; who asks for a page is sent there."""
    house, campaign_id = house_of(request), request.path_params["id"]
    if not wants_events(request):
        return redirect(request, "campaign", id=campaign_id)
    async with house.database.connect() as conn:
        await store.campaign(conn, campaign_id)
    watcher = hub_of(house).watcher

    def draw() -> str | None:
        picture = watcher.picture(campaign_id)
        if picture is None:
            return None if watcher.gone(campaign_id) else ""
        return fragment(request, "campaigns/live.html", **live_context(picture))

    return stream(request, campaign_id, draw, READERS)


async def glance_stream(request: Request) -> Response:
    """The strip of all that sends."""
    if not wants_events(request):
        return redirect(request, "dashboard")
    watcher = hub_of(house_of(request)).watcher
    return stream(request, ALL, lambda: fragment(request, "campaigns/strip.html", glance=watcher.glance()), READERS)


async def picture_of(house: House, campaign_id: int) -> Picture:
    """As it stands now, for a page that is loaded. Raises NotFound."""
    return hub_of(house).watcher.picture(campaign_id) or await look(house.database, campaign_id)


async def glance_of(house: House) -> Glance:
    """As the watcher knows it, else without figures: they come with the stream."""
    hub = hub_of(house)
    if hub.watcher.version and hub.watcher.watched(ALL):
        return hub.watcher.glance()
    async with house.database.connect() as conn:
        going = (await heads(conn, [], under_way=True)).values()
        return Glance(list(going), warned=await warned(conn, utc_now()))


def live_context(picture: Picture) -> dict[str, object]:
    """What campaigns/live.html shows."""
    state = picture.head.state
    may = [verb.value for verb in (Verb.PAUSE, Verb.RESUME, Verb.CANCEL) if state in ALLOWED[verb]]
    return {"picture": picture, "may_now": may, "over": not NEXT[state]}


ROUTES = [
    Route("/campaigns/live", glance_stream, "campaigns_live", READERS),
    Route("/campaigns/{id:int}/live", campaign_stream, "campaign_live", READERS),
]

"""The start page, liveness and metrics."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.errors import Unavailable
from web.access import PUBLIC, SIGNED_IN, Route, house_of
from web.metrics import exposition, queue_state
from web.render import redirect
from web.view import current_request, navigation


async def start(request: Request) -> Response:
    """To the first page of the sidebar that the viewer may open."""
    with current_request(request):
        items = [item for section in navigation() for item in section.items]
    return redirect(request, items[0].route if items else "profile")


async def health(request: Request) -> Response:
    """200 when the database answers, else 503; says how the queue stands."""
    try:
        async with house_of(request).database.connect() as conn:
            queue = await queue_state(conn)
    except Unavailable as error:
        return JSONResponse({"status": "unavailable", "database": str(error)}, 503)
    return JSONResponse({"status": "ok", "database": "ok", "queue": queue})


async def metrics(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        return await exposition(conn)


ROUTES = [
    Route("/", start, "start", SIGNED_IN),
    Route("/health", health, "health", PUBLIC),
    Route("/metrics", metrics, "metrics", PUBLIC),
]

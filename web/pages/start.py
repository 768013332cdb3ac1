"""The start page, liveness and metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.errors import Unavailable
from web.access import PUBLIC, SIGNED_IN, Route, house_of
from web.render import redirect
from web.view import current_request, navigation


async def start(request: Request) -> Response:
    """To the first page of the sidebar that the viewer may open."""
    with current_request(request):
        items = [item for section in navigation() for item in section.items]
    return redirect(request, items[0].route if items else "profile")


async def health(request: Request) -> Response:
    """200 when the database answers, else 503."""
    try:
        async with house_of(request).database.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except Unavailable as error:
        return JSONResponse({"status": "unavailable", "database": str(error)}, 503)
    return JSONResponse({"status": "ok", "database": "ok"})


async def metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [
    Route("/", start, "start", SIGNED_IN),
    Route("/health", health, "health", PUBLIC),
    Route("/metrics", metrics, "metrics", PUBLIC),
]

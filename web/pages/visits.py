"""Where the script in the shop's pages tells of visits. It answers nothing that could be read; who has no token, or is
on another site, leaves no trace."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runtime.errors import Invalid, NotFound, Unavailable
from tracking.tracker import Visitor
from web.access import KIB, RECIPIENTS, Route
from web.pages.public import RETRY_SECONDS, UNCACHED, tracker_of

VISIT_LIMIT = 4 * KIB


async def visited(request: Request) -> Response:
    """The body is the page's address, as text: what a browser sends to another host without asking first."""
    tracker = tracker_of(request)
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() not in tracker.sites:
        raise HTTPException(404)
    page = (await request.body()).decode(errors="replace").replace("\0", "")
    visitor = Visitor(request.headers.get("user-agent", ""), request.method, request.headers)
    try:
        await tracker.visited(request.path_params["token"], page, visitor)
    except (NotFound, Invalid) as error:
        raise HTTPException(404) from error
    except Unavailable as error:
        raise HTTPException(503, headers={"Retry-After": str(RETRY_SECONDS)}) from error
    return Response(status_code=204, headers=UNCACHED)


ROUTES = [Route("/p/{token}", visited, "page_visit", RECIPIENTS, methods=("POST",), csrf=False, limit=VISIT_LIMIT)]

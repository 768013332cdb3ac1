"""What recipients reach from a message: pixel, links, the mail in a browser. No cookies, no sign-in, nothing to forge.

An answer means that the fact is committed. A token that does not verify gets a friendly 404 and leaves no trace.
"""

from __future__ import annotations

import asyncio
import base64
from functools import wraps

from markupsafe import escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from campaigns.revisit import click_target, in_browser
from runtime.errors import NotFound, Unavailable
from runtime.signing import Purpose
from tracking.tokens import TokenRef, read_token
from tracking.tracker import Tracker, Visitor, standing
from web.access import RECIPIENTS, Endpoint, Route, house_of
from web.forgeries import forgeries
from web.i18n import LANGUAGES, current_language, use_language
from web.render import page

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
UNCACHED = {"Cache-Control": "no-store, no-cache, must-revalidate, max-age=0", "Pragma": "no-cache", "Expires": "0"}
VIEW_CSP = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: https: http:; font-src data: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TEST = "test"
RETRY_SECONDS = 5


def friendly(endpoint: Endpoint) -> Endpoint:
    """Show what cannot be found as a page for recipients; `?lang=` chooses its language. The token of test messages
    (campaigns.trial) explains itself and does nothing."""

    @wraps(endpoint)
    async def serve(request: Request) -> Response:
        language = request.query_params.get("lang", "")
        if language in LANGUAGES:
            use_language(language)
        if request.path_params["token"] == TEST:
            return page(request, "public/test.html")
        try:
            return await endpoint(request)
        except NotFound:
            await asyncio.sleep(forgeries.wait())
            return unknown(request)
        except Unavailable as error:  # whose words name our machines, which is nothing for strangers
            raise HTTPException(503, headers={"Retry-After": str(RETRY_SECONDS)}) from error

    return serve


@friendly
async def open_pixel(request: Request) -> Response:
    """One transparent pixel, never cached. Most are answered by `web.front` already."""
    await tracker_of(request).opened(request.path_params["token"], _visitor(request))
    return Response(GIF, media_type="image/gif", headers=UNCACHED)


@friendly
async def hidden_link(request: Request) -> Response:
    """No reader sees the link beside the pixel, and whoever follows it stays where they are."""
    await tracker_of(request).trapped(request.path_params["token"], _visitor(request))
    return Response(status_code=204, headers=UNCACHED)


@friendly
async def follow_link(request: Request) -> Response:
    """On to where the run's own link leads, and nowhere else."""

    async def personal(ref: TokenRef) -> str:
        return await _personal(request, ref)

    target = await tracker_of(request).clicked(request.path_params["token"], _visitor(request), personal)
    return RedirectResponse(target, 302, headers=UNCACHED)


@friendly
async def view(request: Request) -> Response:
    """The mail in a browser: no script, an origin of its own."""
    ref, house = _read(request, Purpose.VIEW), house_of(request)
    async with house.database.connect() as conn:
        mail = await in_browser(conn, house, await standing(conn, ref.key))
    await tracker_of(request).viewed(ref.key, _visitor(request))
    html = mail.html if mail.html is not None else f"<pre>{escape(mail.text)}</pre>"
    return HTMLResponse(html, headers={**UNCACHED, "Content-Security-Policy": VIEW_CSP})


def unknown(request: Request) -> Response:
    """The page for a token that is none of ours, in the language of the request. It says the same to everybody: a flood
    of them is answered from memory."""
    language = current_language()
    if language not in _unknown:
        _unknown[language] = bytes(page(request, "public/unknown.html", status=404).body)
    return HTMLResponse(_unknown[language], 404, headers={"Cache-Control": "no-store"})


def known_unknown(language: str) -> bytes | None:
    """The body of that page, once it has been made."""
    return _unknown.get(language)


_unknown: dict[str, bytes] = {}


def tracker_of(request: Request) -> Tracker:
    """The process's tracker."""
    tracker: Tracker = request.app.state.tracker
    return tracker


def _read(request: Request, purpose: Purpose) -> TokenRef:
    return read_token(house_of(request).signer, request.path_params["token"], purpose)


async def _personal(request: Request, ref: TokenRef) -> str:
    house = house_of(request)
    async with house.database.connect() as conn:
        return await click_target(conn, house, await standing(conn, ref.key), ref.link)


def _visitor(request: Request) -> Visitor:
    return Visitor(request.headers.get("user-agent", ""), request.method, request.headers)


ROUTES = [
    Route("/o/{token}", open_pixel, "open_pixel", RECIPIENTS),
    Route("/o/{token}/more", hidden_link, "hidden_link", RECIPIENTS),
    Route("/c/{token}", follow_link, "follow_link", RECIPIENTS),
    Route("/v/{token}", view, "view", RECIPIENTS),
]

"""What recipients reach from a message: pixel, links, the unsubscribe page. No cookies, no sign-in, nothing to forge.

An answer means that the fact is committed. A token that does not verify gets a friendly 404 and leaves no trace.
"""

from __future__ import annotations

import base64
from email.utils import parseaddr
from functools import wraps

from markupsafe import escape
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from campaigns.models import runs, snapshots
from campaigns.revisit import click_target, in_browser
from runtime.clock import utc_now
from runtime.errors import NotFound, Unavailable
from runtime.signing import Purpose
from tracking.facts import Fact, FactKind
from tracking.ledger import MessageKey
from tracking.machines import machine_reason
from tracking.tokens import TokenRef, read_token
from tracking.tracker import Standing, Tracker, standing
from web.access import KIB, PUBLIC, Endpoint, Route, house_of
from web.i18n import LANGUAGES, use_language
from web.render import page

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
UNCACHED = {"Cache-Control": "no-store, no-cache, must-revalidate, max-age=0", "Pragma": "no-cache", "Expires": "0"}
VIEW_CSP = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data: https: http:; font-src data: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TEST = "test"
MEMO_LIMIT = 16 * KIB


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
            return page(request, "public/unknown.html", status=404)
        except Unavailable as error:  # whose words name our machines, which is nothing for strangers
            raise HTTPException(503, headers={"Retry-After": "5"}) from error

    return serve


@friendly
async def open_pixel(request: Request) -> Response:
    """One transparent pixel, never cached."""
    ref = _read(request, Purpose.OPEN)
    await tracker_of(request).collector.record(_seen(request, ref, FactKind.OPENED))
    return Response(GIF, media_type="image/gif", headers=UNCACHED)


@friendly
async def follow_link(request: Request) -> Response:
    """On to where the run's own link leads, and nowhere else."""
    ref, tracker = _read(request, Purpose.CLICK), tracker_of(request)
    template = await tracker.links.template(ref.key.run_id, ref.link)
    target = await _personal(request, ref) if "{" in template else template
    await tracker.collector.record(_seen(request, ref, FactKind.CLICKED, template))
    return RedirectResponse(target, 302, headers=UNCACHED)


@friendly
async def view(request: Request) -> Response:
    """The mail in a browser: no script, an origin of its own."""
    ref, house = _read(request, Purpose.VIEW), house_of(request)
    async with house.database.connect() as conn:
        mail = await in_browser(conn, house, await standing(conn, ref.key))
    await tracker_of(request).collector.record(_seen(request, ref, FactKind.VIEWED))
    html = mail.html if mail.html is not None else f"<pre>{escape(mail.text)}</pre>"
    return HTMLResponse(html, headers={**UNCACHED, "Content-Security-Policy": VIEW_CSP})


@friendly
async def preferences(request: Request) -> Response:
    """The page with the button; looking changes nothing."""
    ref = _read(request, Purpose.UNSUBSCRIBE)
    async with house_of(request).database.connect() as conn:
        found, sender = await standing(conn, ref.key), await _sender(conn, ref.key)
    return _preferences(request, found, sender, done=None)


@friendly
async def unsubscribe(request: Request) -> Response:
    """RFC 8058: the mail program posts `List-Unsubscribe=One-Click`; the page's own buttons post `mail=off` or
    `on`."""
    ref = _read(request, Purpose.UNSUBSCRIBE)
    form = await request.form(max_fields=20, max_files=0)
    async with house_of(request).database.connect() as conn:
        found, sender = await standing(conn, ref.key), await _sender(conn, ref.key)
    fact = _word(request, ref, form)
    await tracker_of(request).collector.record(fact)
    return _preferences(request, found, sender, done=fact.kind)


def tracker_of(request: Request) -> Tracker:
    """The process's tracker, made at the first request."""
    state = request.app.state
    if not hasattr(state, "tracker"):
        state.tracker = Tracker.over(house_of(request).database)
    tracker: Tracker = state.tracker
    return tracker


def _read(request: Request, purpose: Purpose) -> TokenRef:
    return read_token(house_of(request).signer, request.path_params["token"], purpose)


async def _personal(request: Request, ref: TokenRef) -> str:
    house = house_of(request)
    async with house.database.connect() as conn:
        return await click_target(conn, house, await standing(conn, ref.key), ref.link)


def _seen(request: Request, ref: TokenRef, kind: FactKind, link: str | None = None) -> Fact:
    agent = request.headers.get("user-agent", "")
    machine = machine_reason(agent, request.method, request.headers)
    index = ref.link if link is not None else None
    return Fact(ref.key, kind, utc_now(), machine=machine, agent=agent, link=link, link_index=index)


def _word(request: Request, ref: TokenRef, form: FormData) -> Fact:
    said = form.get("mail")
    kind = FactKind.RESUBSCRIBED if said == "on" else FactKind.UNSUBSCRIBED
    source = "one-click" if said is None else "page"
    return Fact(ref.key, kind, utc_now(), agent=request.headers.get("user-agent", ""), source=source)


def _preferences(request: Request, found: Standing, sender: str, done: FactKind | None) -> Response:
    subscribed = found.granted is not False if done is None else done is FactKind.RESUBSCRIBED
    return page(
        request,
        "public/preferences.html",
        address=found.address,
        sender=sender,
        subscribed=subscribed,
        done=done,
    )


async def _sender(conn: AsyncConnection, key: MessageKey) -> str:
    """The name under which the recipient knows us: the sender of the message."""
    statement = select(snapshots.c.sender).join_from(runs, snapshots, snapshots.c.id == runs.c.snapshot_id)
    sender = await conn.scalar(statement.where(runs.c.id == key.run_id))
    name, address = parseaddr(sender or "")
    return name or address or "Hearth"


ROUTES = [
    Route("/o/{token}", open_pixel, "open_pixel", PUBLIC),
    Route("/c/{token}", follow_link, "follow_link", PUBLIC),
    Route("/v/{token}", view, "view", PUBLIC),
    Route("/u/{token}", preferences, "preferences", PUBLIC),
    Route("/u/{token}", unsubscribe, "unsubscribe", PUBLIC, methods=("POST",), csrf=False, limit=MEMO_LIMIT),
]

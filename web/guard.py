"""The guard in front of every endpoint: body size, who asks, which language, what their role allows, CSRF."""

from __future__ import annotations

import secrets
from http.cookies import SimpleCookie
from time import perf_counter
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from runtime.clock import utc_now
from runtime.errors import Forbidden, Unavailable
from web.access import Public, Route, Viewer, found_viewer, house_of
from web.i18n import _, negotiate, use_language
from web.metrics import count_request
from web.sessions import csrf_matches, session_viewer, token_viewer, touch_session, touch_token

LANGUAGE_COOKIE = "hearth_language"
FORM_FIELDS, FORM_FILES = 2_000, 20  # more parts than any form of ours has
LARGEST_ID = 2**63 - 1
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
PASSWORD_ROUTES = frozenset({"password", "password_change", "logout", "language"})


class Unauthenticated(HTTPException):
    """Nobody is signed in (or the token is unknown) and the route needs somebody."""

    def __init__(self) -> None:
        super().__init__(401, _("Sign in first."), headers={"WWW-Authenticate": "Bearer"})


class Guarded:
    """An endpoint behind its row of the route table, as the ASGI app that Starlette routes to."""

    def __init__(self, route: Route) -> None:
        self.route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.serve(scope, _at_most(receive, self.route.limit), sending)
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            count_request(self.route.name, status, perf_counter() - began)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self.answer(request)
        try:
            await response(scope, receive, send)
        finally:
            await request.close()

    async def answer(self, request: Request) -> Response:
        _check_length(request, self.route.limit)
        _check_ids(request)
        await identify(request, api=self.route.api, needed=not isinstance(self.route.allow, Public))
        refused = self._sign_in_first(request)
        if refused is not None:
            return refused
        self._check_role(found_viewer(request))
        if self.route.csrf and request.method not in SAFE:
            await _check_csrf(request)
        return await self.route.endpoint(request)

    def _sign_in_first(self, request: Request) -> Response | None:
        viewer = found_viewer(request)
        if isinstance(self.route.allow, Public):
            return None
        if viewer is None:
            if self.route.api:
                raise Unauthenticated
            return _to_login(request)
        if viewer.must_change_password and self.route.name not in PASSWORD_ROUTES:
            return redirect(request, str(request.app.url_path_for("password")))
        return None

    def _check_role(self, viewer: Viewer | None) -> None:
        if viewer is not None and not viewer.may(self.route.allow):
            raise Forbidden(
                _("Your role (%(role)s) does not allow this; ask an administrator.", role=viewer.role.value)
            )


def redirect(request: Request, url: str) -> Response:
    """Send the browser to a local `url` (303), also when htmx asked."""
    if request.headers.get("HX-Request") and not request.headers.get("HX-Boosted"):
        return Response(headers={"HX-Redirect": url})
    return RedirectResponse(url, status_code=303)


def local_url(url: str | None) -> str | None:
    """`url` when it stays on this host (for `next`), else None."""
    if not url or not url.startswith("/") or url.startswith(("//", "/\\")):
        return None
    if any(ord(sign) <= 32 or sign == "\\" for sign in url):
        return None
    parts = urlsplit(url)
    return None if parts.scheme or parts.netloc else url


def session_cookie_name(request: Request) -> str:
    """`__Host-` pins the cookie to this host and to HTTPS, where HTTPS is used."""
    return "__Host-hearth" if secure(request) else "hearth"


def visit_cookie_name(request: Request) -> str:
    return "__Host-hearth-visit" if secure(request) else "hearth_visit"


def secure(request: Request) -> bool:
    return house_of(request).settings.public_url.startswith("https:")


def session_secret(request: Request) -> str | None:
    return request.cookies.get(session_cookie_name(request))


def csrf_secret(request: Request) -> str:
    """The cookie secret that this request's forms are bound to; a visitor without any gets one with the answer."""
    if found_viewer(request) is not None:
        return str(session_secret(request))
    known = request.cookies.get(visit_cookie_name(request))
    if known:
        return known
    if not hasattr(request.state, "new_visit"):
        request.state.new_visit = secrets.token_urlsafe(32)
    return str(request.state.new_visit)


def set_visit_cookie(request: Request, headers: MutableHeaders) -> None:
    """Hand a visitor the secret that the answer's form is bound to, if one was made."""
    visit = getattr(request.state, "new_visit", None)
    if visit is None:
        return
    cookie = SimpleCookie({visit_cookie_name(request): visit})
    morsel = cookie[visit_cookie_name(request)]
    for name, value in {"path": "/", "httponly": True, "samesite": "Lax", "secure": secure(request)}.items():
        morsel[name] = value
    headers.append("set-cookie", morsel.OutputString())


def _at_most(receive: Receive, limit: int) -> Receive:
    """`receive` that raises 413 once the body is larger than `limit`, whatever length was announced."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413)
        return message

    return receiving


def _check_length(request: Request, limit: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise HTTPException(413)


def _check_ids(request: Request) -> None:
    """An id that no column can hold names nothing."""
    if any(isinstance(value, int) and value > LARGEST_ID for value in request.path_params.values()):
        raise HTTPException(404)


async def identify(request: Request, *, api: bool = False, needed: bool = False) -> None:
    """Put the viewer into the request's state and choose the language.

    Raises Unavailable only if `needed`: a public page (a click's redirect) does without the database.
    """
    request.state.viewer = viewer = None
    try:
        request.state.viewer = viewer = await (_token_viewer(request) if api else _session_viewer(request))
    except Unavailable:
        if needed:
            raise
    cookie = request.cookies.get(LANGUAGE_COOKIE)
    preferred = [viewer.language if viewer else None, cookie]
    use_language("en" if api else negotiate(preferred, request.headers.get("accept-language", "")))


async def _session_viewer(request: Request) -> Viewer | None:
    secret = session_secret(request)
    if not secret:
        return None
    database, now = house_of(request).database, utc_now()
    async with database.connect() as conn:
        found = await session_viewer(conn, secret, now)
    if found is None:
        return None
    viewer, touch = found
    if touch:
        async with database.begin() as conn:
            await touch_session(conn, secret, now)
    return viewer


async def _token_viewer(request: Request) -> Viewer | None:
    scheme, _space, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    database, now = house_of(request).database, utc_now()
    async with database.connect() as conn:
        found = await token_viewer(conn, secret.strip(), now)
    if found is None:
        return None
    viewer, touch = found
    if touch and viewer.token_id is not None:
        async with database.begin() as conn:
            await touch_token(conn, viewer.token_id, now)
    return viewer


async def _check_csrf(request: Request) -> None:
    """The form (or htmx's header) carries the token derived from the cookie, and the browser names no other site."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden(_("This request came from another site and was refused."))
    given = request.headers.get("x-csrf-token")
    if given is None:
        form = await request.form(max_fields=FORM_FIELDS, max_files=FORM_FILES)
        given = str(form.get("csrf_token", ""))
    if not csrf_matches(csrf_secret(request), given):
        raise Forbidden(_("This page has expired. Go back, load it again and repeat what you did."))


def _to_login(request: Request) -> Response:
    target = request.url.path
    if request.method not in SAFE or request.headers.get("HX-Request"):
        target = "/"
    elif request.url.query:
        target += "?" + request.url.query
    return redirect(request, str(request.app.url_path_for("login")) + "?next=" + quote(target, safe=""))

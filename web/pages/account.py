"""Signing in and out, the own profile, the own password, the language."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound
from web.access import PUBLIC, SIGNED_IN, Route, found_viewer, house_of, viewer_of
from web.guard import LANGUAGE_COOKIE, local_url, secure, session_cookie_name, session_secret
from web.guard import redirect as to_url
from web.i18n import LANGUAGES, _
from web.logins import Client, WrongLogin, change_password, sign_in
from web.models import sessions, users
from web.render import page, redirect
from web.sessions import LIFETIME, close_session, hashed
from web.throttle import TooManyTries
from web.users import any_user, set_language

YEAR = 365 * 24 * 3600


async def login_form(request: Request) -> Response:
    if found_viewer(request) is not None:
        return redirect(request, "start")
    return await _login_page(request, request.query_params.get("next", ""))


async def login(request: Request) -> Response:
    form = await request.form()
    email, password, target = (str(form.get(name, "")) for name in ("email", "password", "next"))
    try:
        secret = await sign_in(house_of(request).database, email, password, client_of(request), utc_now())
    except WrongLogin as error:
        return await _login_page(request, target, email=email, error=str(error), status=422)
    except TooManyTries as error:
        return await _login_page(request, target, email=email, error=str(error), status=429)
    await _end_session(request)
    response = to_url(request, local_url(target) or "/")
    return with_session(request, response, secret)


async def logout(request: Request) -> Response:
    await _end_session(request)
    response = redirect(request, "login", flash=_("You are signed out."))
    response.delete_cookie(session_cookie_name(request), path="/", secure=secure(request), httponly=True)
    return response


async def password_form(request: Request) -> Response:
    return page(request, "account/password.html", errors={})


async def password(request: Request) -> Response:
    form = await request.form()
    old, new, again = (str(form.get(name, "")) for name in ("old", "password", "again"))
    errors: dict[str, str] = {}
    if new != again:
        errors["again"] = _("The two are not the same.")
    else:
        user_id = viewer_of(request).user_id or 0
        try:
            secret = await change_password(house_of(request).database, user_id, old, new, client_of(request), utc_now())
        except (WrongLogin, TooManyTries) as error:
            errors["old"] = str(error)
        except Invalid as error:
            errors = {problem.path: problem.message for problem in error.problems}
    if errors:
        return page(request, "account/password.html", status=422, errors=errors)
    flash = _("Your password is changed; everywhere else you are signed out.")
    return with_session(request, redirect(request, "start", flash=flash), secret)


async def profile(request: Request) -> Response:
    viewer = viewer_of(request)
    async with house_of(request).database.connect() as conn:
        open_sessions = await conn.execute(
            select(sessions)
            .where(sessions.c.user_id == viewer.user_id, sessions.c.expires_at > utc_now())
            .order_by(sessions.c.last_seen_at.desc())
        )
        rows = open_sessions.all()
    here = hashed(session_secret(request) or "")
    return page(request, "account/profile.html", sessions=rows, here=here, errors={})


async def profile_save(request: Request) -> Response:
    form = await request.form()
    name = str(form.get("name", "")).replace("\0", "").strip()[:200] or viewer_of(request).name
    async with house_of(request).database.begin() as conn:
        await conn.execute(update(users).where(users.c.id == viewer_of(request).user_id).values(name=name))
    return redirect(request, "profile", flash=_("Saved."))


async def sessions_end(request: Request) -> Response:
    """End all own sessions but this one."""
    here = hashed(session_secret(request) or "")
    async with house_of(request).database.begin() as conn:
        await conn.execute(
            delete(sessions).where(sessions.c.user_id == viewer_of(request).user_id, sessions.c.token_hash != here)
        )
    return redirect(request, "profile", flash=_("Everywhere else you are signed out."))


async def language(request: Request) -> Response:
    """Remember the language: in a cookie, and with the user when somebody is signed in."""
    form = await request.form()
    wanted = str(form.get("language", ""))
    if wanted not in LANGUAGES:
        raise NotFound(_("Hearth does not speak this language."))
    viewer = found_viewer(request)
    if viewer is not None and viewer.user_id is not None:
        async with house_of(request).database.begin() as conn:
            await set_language(conn, viewer.user_id, wanted)
    response = RedirectResponse(local_url(str(form.get("next", ""))) or "/", 303)
    response.set_cookie(LANGUAGE_COOKIE, wanted, max_age=YEAR, samesite="lax", secure=secure(request))
    return response


def client_of(request: Request) -> Client:
    ip = request.client.host if request.client else "unknown"
    return Client(ip, request.headers.get("user-agent", ""))


def with_session(request: Request, response: Response, secret: str) -> Response:
    """Hand the session to the browser: not for scripts, not for other sites' posts."""
    response.set_cookie(
        session_cookie_name(request),
        secret,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure(request),
    )
    return response


async def _login_page(
    request: Request, target: str, *, email: str = "", error: str | None = None, status: int = 200
) -> Response:
    async with house_of(request).database.connect() as conn:
        first_run = not await any_user(conn)
    return page(
        request, "account/login.html", status=status, email=email, error=error, target=target, first_run=first_run
    )


async def _end_session(request: Request) -> None:
    secret = session_secret(request)
    if secret:
        async with house_of(request).database.begin() as conn:
            await close_session(conn, secret)


ROUTES = [
    Route("/login", login_form, "login", PUBLIC),
    Route("/login", login, "login_try", PUBLIC, methods=("POST",)),
    Route("/logout", logout, "logout", SIGNED_IN, methods=("POST",)),
    Route("/profile", profile, "profile", SIGNED_IN),
    Route("/profile", profile_save, "profile_save", SIGNED_IN, methods=("POST",)),
    Route("/profile/sessions/end", sessions_end, "sessions_end", SIGNED_IN, methods=("POST",)),
    Route("/profile/password", password_form, "password", SIGNED_IN),
    Route("/profile/password", password, "password_change", SIGNED_IN, methods=("POST",)),
    Route("/language", language, "language", PUBLIC, methods=("POST",)),
]

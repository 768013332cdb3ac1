"""A forgotten password: ask for the mail, follow its link, choose a new one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.signing import BadSignature
from web.access import PUBLIC, Route, house_of
from web.i18n import _
from web.pages.account import client_of
from web.render import page, redirect
from web.resets import ask_for_reset, reset_password, user_of_token


async def ask_form(request: Request) -> Response:
    return page(request, "account/reset_ask.html", sent=False, email="")


async def ask(request: Request) -> Response:
    form = await request.form()
    email = str(form.get("email", "")).replace("\0", "")
    await ask_for_reset(house_of(request).database, email, client_of(request).ip, utc_now())
    return page(request, "account/reset_ask.html", sent=True, email=email)


async def choose_form(request: Request) -> Response:
    house = house_of(request)
    try:
        async with house.database.connect() as conn:
            user = await user_of_token(conn, house.signer, request.path_params["token"], utc_now())
    except BadSignature:
        return _void(request)
    return page(request, "account/reset_choose.html", email=user.email, errors={})


async def choose(request: Request) -> Response:
    house, form = house_of(request), await request.form()
    new, again = str(form.get("password", "")), str(form.get("again", ""))
    email = str(form.get("email", ""))
    if new != again:
        return _refused(request, email, {"again": _("The two are not the same.")})
    try:
        await reset_password(house.database, house.signer, request.path_params["token"], new, utc_now())
    except Invalid as error:
        return _refused(request, email, {problem.path: problem.message for problem in error.problems})
    except (BadSignature, Conflict):
        return _void(request)
    return redirect(request, "login", flash=_("Your password is changed; sign in with it."))


def _refused(request: Request, email: str, errors: dict[str, str]) -> Response:
    return page(request, "account/reset_choose.html", status=422, email=email, errors=errors)


def _void(request: Request) -> Response:
    return page(request, "account/reset_void.html", status=404)


ROUTES = [
    Route("/reset", ask_form, "reset", PUBLIC),
    Route("/reset", ask, "reset_ask", PUBLIC, methods=("POST",)),
    Route("/reset/{token}", choose_form, "reset_choose", PUBLIC),
    Route("/reset/{token}", choose, "reset_done", PUBLIC, methods=("POST",)),
]

"""API tokens, for administrators: made (shown once) and revoked."""

from __future__ import annotations

from sqlalchemy import select, update
from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound
from web.access import ADMINS, Role, Route, house_of
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.models import api_tokens
from web.pages.users import ROLE_NAMES, role_choices, whose_choices
from web.render import page, redirect
from web.tokens import TokenForm, make_token

SORTS = {"name": api_tokens.c.name, "created": api_tokens.c.created_at, "used": api_tokens.c.last_used_at}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="-created")
    statement = select(api_tokens)
    if asked.q:
        statement = statement.where(api_tokens.c.name.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, api_tokens.c.id)
    return page(request, "tokens/list.html", partial="results", listing=asked, found=found, roles=ROLE_NAMES)


async def new(request: Request) -> Response:
    return await _form_page(request, TokenForm("", Role.MARKETER.value), {})


async def create(request: Request) -> Response:
    posted = await request.form()
    form = TokenForm(*(str(posted.get(name, "")).strip() for name in ("name", "role", "salesperson")))
    try:
        async with house_of(request).database.begin() as conn:
            secret = await make_token(conn, form, utc_now())
    except Invalid as error:
        return await _form_page(request, form, {problem.path: problem.message for problem in error.problems})
    return page(request, "tokens/made.html", name=form.name, secret=secret)


async def revoke(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        done = await conn.execute(
            update(api_tokens)
            .where(api_tokens.c.id == request.path_params["id"], api_tokens.c.revoked_at.is_(None))
            .values(revoked_at=utc_now())
            .returning(api_tokens.c.name)
        )
        name = done.scalar_one_or_none()
    if name is None:
        raise NotFound(_("There is no such token, or it is revoked already."))
    return redirect(request, "tokens", flash=_("The token %(name)s is revoked.", name=name))


async def _form_page(request: Request, form: TokenForm, errors: dict[str, str]) -> Response:
    async with house_of(request).database.connect() as conn:
        people = await whose_choices(conn)
    return page(
        request,
        "tokens/form.html",
        status=422 if errors else 200,
        form=form,
        errors=errors,
        roles=role_choices(),
        salespeople=people,
    )


ROUTES = [
    Route("/tokens", listing, "tokens", ADMINS),
    Route("/tokens/new", new, "token_new", ADMINS),
    Route("/tokens/new", create, "token_create", ADMINS, methods=("POST",)),
    Route("/tokens/{id:int}/revoke", revoke, "token_revoke", ADMINS, methods=("POST",)),
]

"""User administration, for administrators."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from runtime.errors import Conflict, HearthError, Invalid
from runtime.text import fold
from web.access import ADMINS, Role, Route, house_of
from web.i18n import N_, _
from web.listing import fetch_page, read_listing
from web.models import users
from web.render import page, redirect
from web.users import (
    UserForm,
    change_user,
    create_user,
    delete_user,
    find_user,
    give_one_time_password,
    salesperson_choices,
    set_active,
)

ROLE_NAMES = {
    Role.ADMIN: N_("Administrator"),
    Role.MARKETER: N_("Marketer"),
    Role.ANALYST: N_("Analyst"),
    Role.SALESPERSON: N_("Salesperson"),
}
SORTS = {"name": users.c.name, "email": users.c.email_folded, "role": users.c.role, "last_login": users.c.last_login_at}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="name")
    statement = select(users)
    if asked.q:
        statement = statement.where(
            or_(
                users.c.email_folded.contains(fold(asked.q), autoescape=True),
                users.c.name.icontains(asked.q, autoescape=True),
            )
        )
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, users.c.id)
    return page(request, "users/list.html", partial="results", listing=asked, found=found, roles=ROLE_NAMES)


async def new(request: Request) -> Response:
    return await _form_page(request, UserForm("", "", Role.MARKETER.value), {})


async def create(request: Request) -> Response:
    form = await _read_form(request)
    try:
        async with house_of(request).database.begin() as conn:
            _user_id, password = await create_user(conn, form, utc_now())
    except (Invalid, Conflict) as error:
        return await _form_page(request, form, _errors(error))
    return page(request, "users/password.html", email=form.email, password=password)


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        user = await find_user(conn, request.path_params["id"])
    return await _form_page(request, UserForm(user.email, user.name, user.role, user.salesperson), {}, user)


async def save(request: Request) -> Response:
    user_id = request.path_params["id"]
    async with house_of(request).database.connect() as conn:
        user = await find_user(conn, user_id)
    form = await _read_form(request, email=user.email)
    try:
        async with house_of(request).database.begin() as conn:
            await change_user(conn, user_id, form)
    except (Invalid, Conflict) as error:
        return await _form_page(request, form, _errors(error), user)
    return redirect(request, "users", flash=_("Saved."))


async def switch(request: Request) -> Response:
    """Deactivate, or let in again."""
    form = await request.form()
    active = form.get("active") == "yes"
    async with house_of(request).database.begin() as conn:
        await set_active(conn, request.path_params["id"], active)
    flash = _("The user may sign in again.") if active else _("The user is signed out and may not sign in any more.")
    return redirect(request, "user", id=request.path_params["id"], flash=flash)


async def new_password(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        user = await find_user(conn, request.path_params["id"])
        password = await give_one_time_password(conn, user.id)
    return page(request, "users/password.html", email=user.email, password=password)


async def remove(request: Request) -> Response:
    form = await request.form()
    async with house_of(request).database.begin() as conn:
        user = await find_user(conn, request.path_params["id"])
        if str(form.get("confirm", "")).strip() != user.email:
            raise Invalid(_("Nothing was deleted: the name that was typed is another."))
        await delete_user(conn, user.id)
    return redirect(request, "users", flash=_("%(email)s is deleted.", email=user.email))


async def _read_form(request: Request, email: str | None = None) -> UserForm:
    form = await request.form()

    def field(name: str) -> str:
        return str(form.get(name, "")).strip()

    return UserForm(email or field("email"), field("name"), field("role"), field("salesperson") or None)


def role_choices() -> list[tuple[str, str]]:
    """What forms offer as roles."""
    return [(role.value, _(name)) for role, name in ROLE_NAMES.items()]


async def whose_choices(conn: AsyncConnection) -> list[tuple[str, str]]:
    """The salespeople whose households a user or token may be limited to, nobody first."""
    people = await salesperson_choices(conn)
    return [("", "–"), *((code, f"{name} ({code})") for code, name in people.items())]


async def _form_page(
    request: Request, form: UserForm, errors: dict[str, str], user: Row[Any] | None = None
) -> Response:
    async with house_of(request).database.connect() as conn:
        people = await whose_choices(conn)
    return page(
        request,
        "users/form.html",
        status=422 if errors else 200,
        form=form,
        errors=errors,
        user=user,
        roles=role_choices(),
        salespeople=people,
    )


def _errors(error: HearthError) -> dict[str, str]:
    if isinstance(error, Invalid):
        return {problem.path: problem.message for problem in error.problems}
    return {"": str(error)}


ROUTES = [
    Route("/users", listing, "users", ADMINS),
    Route("/users/new", new, "user_new", ADMINS),
    Route("/users/new", create, "user_create", ADMINS, methods=("POST",)),
    Route("/users/{id:int}", edit, "user", ADMINS),
    Route("/users/{id:int}", save, "user_save", ADMINS, methods=("POST",)),
    Route("/users/{id:int}/active", switch, "user_active", ADMINS, methods=("POST",)),
    Route("/users/{id:int}/password", new_password, "user_password", ADMINS, methods=("POST",)),
    Route("/users/{id:int}/delete", remove, "user_delete", ADMINS, methods=("POST",)),
]

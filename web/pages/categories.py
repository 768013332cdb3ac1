"""Appliance categories: what they are called and how long such appliances serve; a change moves their expiry."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.reference import Category, appliances_in, list_categories, save_category
from runtime.errors import Invalid, NotFound, Problem
from web.access import MARKETERS, READERS, Route, house_of
from web.i18n import _
from web.render import page, redirect

LONGEST = {"code": 60, "name": 100, "name_zh": 100, "service_years": 6, "source": 300}


@dataclass(frozen=True)
class Form:
    """A category as typed."""

    code: str = ""
    name: str = ""
    name_zh: str = ""
    service_years: str = ""
    source: str = ""


async def listing(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await list_categories(conn)
        owned = await appliances_in(conn, [one.code for one in found])
    return page(request, "categories/list.html", categories=found, owned=owned)


async def new(request: Request) -> Response:
    return await _form_page(request, Form())


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await _found(conn, request.query_params.get("code", ""))
    years = "" if found.service_years is None else f"{found.service_years.normalize():f}"
    return await _form_page(
        request, Form(found.code, found.name, found.name_zh or "", years, found.source or ""), known=True
    )


async def create(request: Request) -> Response:
    form = await _read_form(request)
    return await _save(request, form, known=False)


async def save(request: Request) -> Response:
    form = await _read_form(request)
    async with house_of(request).database.connect() as conn:
        await _found(conn, form.code)
    return await _save(request, form, known=True)


async def _save(request: Request, form: Form, *, known: bool) -> Response:
    try:
        category = category_of(form)
        async with house_of(request).database.begin() as conn:
            if not known and category.code in {one.code for one in await list_categories(conn)}:
                raise Invalid(Problem("code", _("There is such a category already.")))
            done = await save_category(conn, category)
    except Invalid as error:
        return await _form_page(request, form, {one.path: one.message for one in error.problems}, known=known)
    later = _("Saved. The appliances follow within minutes.")
    return redirect(request, "categories", flash=_("Saved.") if done else later)


def category_of(form: Form) -> Category:
    """What was typed as a category. Raises Invalid for years that are no number."""
    try:
        years = Decimal(form.service_years.replace(",", ".")) if form.service_years else None
    except InvalidOperation:
        raise Invalid(Problem("service_years", _("must be a number of years, such as 8 or 14.5"))) from None
    if years is not None and not years.is_finite():
        raise Invalid(Problem("service_years", _("must be a number of years, such as 8 or 14.5")))
    return Category(form.code, form.name, form.name_zh or None, years, form.source or None)


async def _found(conn: AsyncConnection, code: str) -> Category:
    found = next((one for one in await list_categories(conn) if one.code == code), None)
    if found is None:
        raise NotFound(_("There is no such category."))
    return found


async def _read_form(request: Request) -> Form:
    form = await request.form()
    return Form(**{name: str(form.get(name, "")).strip()[:longest] for name, longest in LONGEST.items()})


async def _form_page(
    request: Request, form: Form, errors: dict[str, str] | None = None, *, known: bool = False
) -> Response:
    async with house_of(request).database.connect() as conn:
        owned = (await appliances_in(conn, [form.code]))[form.code] if known else 0
    return page(
        request,
        "categories/form.html",
        status=422 if errors else 200,
        form=form,
        errors=errors or {},
        known=known,
        owned=owned,
    )


ROUTES = [
    Route("/categories", listing, "categories", READERS),
    Route("/categories/new", new, "category_new", MARKETERS),
    Route("/categories/new", create, "category_create", MARKETERS, methods=("POST",)),
    Route("/categories/edit", edit, "category", MARKETERS),
    Route("/categories/edit", save, "category_save", MARKETERS, methods=("POST",)),
]

"""Templates: content kept for campaigns to come, written with the same editor and preview as a campaign's own."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

import campaigns.templates as kept
from campaigns.models import templates
from campaigns.preview import preview_content
from runtime.clock import utc_now
from runtime.errors import Conflict, HearthError, Invalid, Problem
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.campaign_form import errors_by_field
from web.campaign_form.content import TemplateForm, Writing, read_template_form, template_form_of
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.render import fragment, mail_frame, page, redirect
from web.starter import starter_mjml, starter_subject

SORTS = {"name": templates.c.name, "changed": templates.c.updated_at}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="name")
    statement = kept.template_rows()
    if asked.q:
        statement = statement.where(templates.c.name.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, templates.c.id)
    return page(request, "templates/list.html", partial="results", listing=asked, found=found)


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await kept.template(conn, request.path_params["id"])
    return page(request, "templates/show.html", found=found)


async def preview(request: Request) -> Response:
    """A template as a mail for some customer."""
    house = house_of(request)
    try:
        async with house.database.connect() as conn:
            content = (await kept.template(conn, request.path_params["id"]))["content"]
            found = await preview_content(conn, content, settings=house.settings, now=utc_now())
    except HearthError as error:
        return mail_frame(fragment(request, "campaigns/frame_error.html", problems=_problems(error)))
    return mail_frame(fragment(request, "campaigns/frame.html", preview=found), remote_images=True)


async def new(request: Request) -> Response:
    return _form_page(request, TemplateForm(writing=Writing(subject=starter_subject(), source=starter_mjml())))


async def create(request: Request) -> Response:
    form, house = read_template_form(await request.form()), house_of(request)
    try:
        async with house.database.begin() as conn:
            made = await kept.create_template(conn, form.body(), settings=house.settings, by=viewer_of(request).name)
    except (Invalid, Conflict) as error:
        return _form_page(request, form, error)
    return redirect(request, "template", id=made, flash=_("The template is saved."))


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await kept.template(conn, request.path_params["id"])
    return _form_page(request, template_form_of(found), template_id=found["id"])


async def save(request: Request) -> Response:
    form, house, template_id = read_template_form(await request.form()), house_of(request), request.path_params["id"]
    try:
        async with house.database.begin() as conn:
            await kept.update_template(conn, template_id, form.body(), settings=house.settings)
    except (Invalid, Conflict) as error:
        return _form_page(request, form, error, template_id)
    return redirect(request, "template", id=template_id, flash=_("The template is saved."))


async def duplicate(request: Request) -> Response:
    """The same content in a form of its own, to be named and saved."""
    async with house_of(request).database.connect() as conn:
        form = template_form_of(await kept.template(conn, request.path_params["id"]))
    return _form_page(request, replace(form, name=_("%(name)s (copy)", name=form.name)[:200]))


async def remove(request: Request) -> Response:
    confirmed = str((await request.form()).get("confirm", "")).strip()
    template_id = request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            found = await kept.template(conn, template_id)
            if confirmed != found["name"]:
                raise Invalid(_("Nothing was deleted: the name that was typed is another."))
            await kept.delete_template(conn, template_id)
    except Conflict as error:
        return redirect(request, "template", id=template_id, flash=str(error), kind="danger")
    return redirect(request, "templates", flash=_("The template %(name)s is deleted.", name=found["name"]))


def _form_page(
    request: Request, form: TemplateForm, error: HearthError | None = None, template_id: int | None = None
) -> Response:
    errors, problems = errors_by_field(_problems(error) if error else [], [form.writing])
    return page(
        request,
        "templates/form.html",
        status=422 if error else 200,
        form=form,
        errors=errors,
        problems=problems,
        template_id=template_id,
    )


def _problems(error: HearthError) -> list[Problem]:
    if isinstance(error, Invalid):
        return error.problems
    path, colon, message = str(error).partition(": ")  # a name that is taken names its field
    return [Problem(path, message)] if colon and path == "name" else [Problem("", str(error))]


ROUTES = [
    Route("/templates", listing, "templates", READERS),
    Route("/templates/new", new, "template_new", MARKETERS),
    Route("/templates/new", create, "template_create", MARKETERS, methods=("POST",)),
    Route("/templates/{id:int}", show, "template", READERS),
    Route("/templates/{id:int}/preview", preview, "template_preview", READERS),
    Route("/templates/{id:int}/copy", duplicate, "template_copy", MARKETERS),
    Route("/templates/{id:int}/edit", edit, "template_edit", MARKETERS),
    Route("/templates/{id:int}/edit", save, "template_save", MARKETERS, methods=("POST",)),
    Route("/templates/{id:int}/delete", remove, "template_delete", MARKETERS, methods=("POST",)),
]

"""Campaigns: list, form with preview, launch, live view, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

import campaigns.templates as templates_of
from campaigns import halt, report, store
from campaigns.foresight import foresee
from campaigns.launch import launch as launch_campaign
from campaigns.launch import resume as resume_campaign
from campaigns.models import campaigns
from campaigns.preview import preview_campaign, preview_content
from campaigns.states import ALLOWED, State, Verb
from campaigns.trial import send_test
from runtime.clock import utc_now
from runtime.errors import Conflict, HearthError, Invalid, Problem, Unavailable
from segments.models import audiences, segments
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.campaign_form import (
    CampaignForm,
    errors_by_field,
    form_of,
    hidden_fields,
    label_of,
    offers,
    read_form,
    sentences,
)
from web.campaign_form.audience import Audience
from web.campaign_form.content import Content
from web.campaign_form.section import Offered
from web.campaign_form.when import When
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.pages.campaign_report import report_context
from web.pages.campaigns_live import glance_of
from web.render import fragment, mail_frame, page, redirect
from web.starter import starter_mjml, starter_subject
from web.view import current_request

SORTS = {
    "name": campaigns.c.name,
    "state": campaigns.c.state,
    "created": campaigns.c.created_at,
    "launched": campaigns.c.launched_at,
}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="-created")
    state = request.query_params.get("state") or None
    statement = store.campaign_rows()
    if asked.q:
        statement = statement.where(campaigns.c.name.icontains(asked.q, autoescape=True))
    if state:
        statement = statement.where(campaigns.c.state == state)
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, campaigns.c.id)
        rows = await report.campaign_lines(conn, [store.campaign_of(row) for row in found.rows])
        states = await store.states(conn)
    return page(
        request,
        "campaigns/list.html",
        partial="results",
        listing=asked,
        found=replace(found, rows=rows),  # type: ignore[arg-type]
        state=state,
        states=states,
        glance=await glance_of(house_of(request)),
    )


async def show(request: Request) -> Response:
    """A draft with its preview, what is going on, or what came of it."""
    house, campaign_id = house_of(request), request.path_params["id"]
    async with house.database.connect() as conn:
        found = await store.campaign(conn, campaign_id)
    if found.state is State.DRAFT:
        return await _draft(request, found)
    async with house.database.connect() as conn:
        common = await _common(conn, found)
        told = await _told(conn, request, found)
    context = await report_context(house, found, counted="counted" in request.query_params)
    return page(request, "campaigns/report.html", campaign=found, **common, **told, **context)


async def new(request: Request) -> Response:
    asked = request.query_params
    form = CampaignForm(
        audience=Audience(asked.get("segment", ""), asked.get("audience", "")),
        content=Content(starter_subject(), source=starter_mjml(), template_id=asked.get("template", "")),
        when=When.fresh(),
    )
    return await _form_page(request, form)


async def create(request: Request) -> Response:
    form = read_form(await request.form())
    house = house_of(request)
    try:
        async with house.database.begin() as conn:
            made = await store.create_campaign(
                conn, form.body(house.settings), settings=house.settings, by=viewer_of(request).name
            )
    except (Invalid, Conflict) as error:
        return await _form_page(request, form, error)
    return redirect(request, "campaign", id=made, flash=_("The draft is saved."))


async def edit(request: Request) -> Response:
    house = house_of(request)
    async with house.database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
    if found.state is not State.DRAFT:
        flash = _("Only a draft can be edited. Copy the campaign to change it.")
        return redirect(request, "campaign", id=found.id, flash=flash, kind="warning")
    return await _form_page(request, form_of(found, house.settings), campaign_id=found.id)


async def save(request: Request) -> Response:
    house, campaign_id = house_of(request), request.path_params["id"]
    async with house.database.connect() as conn:
        found = await store.campaign(conn, campaign_id)
    form = read_form(await request.form(), form_of(found, house.settings).kept)
    try:
        async with house.database.begin() as conn:
            await store.update_campaign(conn, campaign_id, form.body(house.settings), settings=house.settings)
    except (Invalid, Conflict) as error:
        return await _form_page(request, form, error, campaign_id=campaign_id)
    return redirect(request, "campaign", id=campaign_id, flash=_("The draft is saved."))


async def duplicate(request: Request) -> Response:
    """The same again, as a draft that starts now."""
    house = house_of(request)
    async with house.database.begin() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        body = {**store.body_of(found), "name": _("%(name)s (copy)", name=found.name)[:200], "schedule": None}
        made = await store.create_campaign(conn, body, settings=house.settings, by=viewer_of(request).name)
    return redirect(request, "campaign", id=made, flash=_("The copy is a draft."))


async def foresight(request: Request) -> Response:
    """What a launch would do at this moment, for a draft's page."""
    house = house_of(request)
    async with house.database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        seen = await foresee(conn, found, settings=house.settings, now=utc_now())
    return page(request, "campaigns/foresight.html", campaign=found, seen=seen, field_of=label_of)


async def summary(request: Request) -> Response:
    """What would happen if the form were launched as it stands."""
    form, house = read_form(await request.form()), house_of(request)
    async with house.database.connect() as conn:
        offered = await offers(conn, form)
    return page(request, "campaigns/summary.html", sentences=_sentences(request, form, offered))


async def preview_draft(request: Request) -> Response:
    """The form's content as a mail, into the form's frame; what is wrong with it is said there."""
    sent, house = await request.form(), house_of(request)
    form = read_form(sent)
    try:
        async with house.database.connect() as conn:
            content: Mapping[str, str] = form.content.content()
            if form.content.template_id.isdecimal():
                content = (await templates_of.template(conn, int(form.content.template_id)))["content"]
            content = form.experiment.shown_content(content, str(sent.get("variant_preview", "")))
            found = await preview_content(conn, content, settings=house.settings, now=utc_now(), name=form.name)
    except HearthError as error:
        return mail_frame(fragment(request, "campaigns/frame_error.html", problems=_problems(error)))
    return mail_frame(fragment(request, "campaigns/frame.html", preview=found), remote_images=True)


async def preview(request: Request) -> Response:
    """A campaign as a mail for `?customer=` or somebody of its audience."""
    house, asked = house_of(request), request.query_params.get("customer", "")
    customer = int(asked[:18]) if asked.isdecimal() else None
    variant = request.query_params.get("variant", "")
    try:
        async with house.database.connect() as conn:
            found = await preview_campaign(
                conn,
                request.path_params["id"],
                customer,
                settings=house.settings,
                now=utc_now(),
                variant=int(variant) if variant.isdecimal() and len(variant) < 4 else 0,
            )
    except HearthError as error:
        return mail_frame(fragment(request, "campaigns/frame_error.html", problems=_problems(error)))
    return mail_frame(fragment(request, "campaigns/frame.html", preview=found), remote_images=True)


async def test(request: Request) -> Response:
    """Send it to one address; the mail server's answer is told."""
    to = str((await request.form()).get("to", "")).strip()
    campaign_id = request.path_params["id"]
    try:
        replies = await send_test(house_of(request), campaign_id, to, now=utc_now())
    except (Invalid, Unavailable) as error:
        return redirect(request, "campaign", id=campaign_id, flash=str(error), kind="danger")
    flash = _("Sent to %(to)s. The server said: %(reply)s", to=to, reply=replies[0]["reply"])
    return redirect(request, "campaign", id=campaign_id, flash=flash)


async def launch(request: Request) -> Response:
    house, campaign_id = house_of(request), request.path_params["id"]
    try:
        async with house.database.begin() as conn:
            await launch_campaign(conn, campaign_id, settings=house.settings, now=utc_now(), by=viewer_of(request).name)
    except (Invalid, Conflict, Unavailable) as error:
        return redirect(request, "campaign", id=campaign_id, flash=str(error), kind="danger")
    return redirect(request, "campaign", id=campaign_id, flash=_("The campaign is approved."))


async def pause(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        await halt.pause_by_hand(conn, request.path_params["id"], viewer_of(request).name, now=utc_now())
    return redirect(request, "campaign", id=request.path_params["id"], flash=_("The campaign is paused."))


async def resume(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        await resume_campaign(conn, request.path_params["id"], now=utc_now())
    return redirect(request, "campaign", id=request.path_params["id"], flash=_("The campaign goes on."))


async def cancel(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        await _confirmed(request, conn)
        await halt.cancel(conn, request.path_params["id"], now=utc_now())
    return redirect(request, "campaign", id=request.path_params["id"], flash=_("The campaign is cancelled."))


async def remove(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        await _confirmed(request, conn)
        await store.delete_campaign(conn, request.path_params["id"])
    return redirect(request, "campaigns", flash=_("The draft is deleted."))


async def messages(request: Request) -> Response:
    """Who got what, what came of it, and why not."""
    asked = read_listing(request, ("id",), default="id")
    state, answer = (request.query_params.get(name) or None for name in ("state", "answer"))
    async with house_of(request).database.connect() as conn:
        found = await store.campaign(conn, request.path_params["id"])
        rows, following = await report.message_records(
            conn, found.id, state=state, answer=answer, cursor=asked.cursor, limit=asked.limit
        )
        counts = (await report.campaign_record(conn, found.id))["counts"]
    return page(
        request,
        "campaigns/messages.html",
        partial="results",
        campaign=found,
        listing=asked,
        found={"rows": rows, "next": following},
        counts=counts,
        state=state,
        answer=answer,
    )


async def _confirmed(request: Request, conn: AsyncConnection) -> None:
    found = await store.campaign(conn, request.path_params["id"])
    if str((await request.form()).get("confirm", "")).strip() != found.name:
        raise Invalid(_("Nothing was done: the name that was typed is another."))


async def _draft(request: Request, found: store.Campaign) -> Response:
    async with house_of(request).database.connect() as conn:
        told = await _told(conn, request, found)
        return page(request, "campaigns/draft.html", campaign=found, **told, **await _common(conn, found))


async def _told(conn: AsyncConnection, request: Request, found: store.Campaign) -> dict[str, Any]:
    """What it will do or does, in people's words, with the variants of its experiment."""
    form = form_of(found, house_of(request).settings)
    said = _sentences(request, form, await offers(conn, form))
    return {"sentences": said, "variants": form.experiment.variants}


async def _common(conn: AsyncConnection, found: store.Campaign) -> dict[str, Any]:
    return {
        "audience_name": await _audience_name(conn, found),
        "may": {verb.value: found.state in ALLOWED[verb] for verb in Verb},
    }


async def _audience_name(conn: AsyncConnection, found: store.Campaign) -> str:
    if found.segment_id is not None:
        return str(await conn.scalar(select(segments.c.name).where(segments.c.id == found.segment_id)))
    if found.audience_id is not None:
        return str(await conn.scalar(select(audiences.c.name).where(audiences.c.id == found.audience_id)))
    return _("a rule of its own")


async def _form_page(
    request: Request, form: CampaignForm, error: HearthError | None = None, campaign_id: int | None = None
) -> Response:
    house = house_of(request)
    async with house.database.connect() as conn:
        offered = await offers(conn, form)
    errors, problems = errors_by_field(_problems(error) if error else [], form.sections, hidden_fields(form))
    return page(
        request,
        "campaigns/form.html",
        status=422 if error else 200,
        form=form,
        offered=offered,
        sentences=_sentences(request, form, offered),
        errors=errors,
        problems=problems,
        campaign_id=campaign_id,
    )


def _sentences(request: Request, form: CampaignForm, offered: Mapping[str, Offered]) -> list[str]:
    with current_request(request):
        return sentences(form, offered, house_of(request).settings)


def _problems(error: HearthError) -> list[Problem]:
    return error.problems if isinstance(error, Invalid) else [Problem("", str(error))]


ROUTES = [
    Route("/campaigns", listing, "campaigns", READERS),
    Route("/campaigns/new", new, "campaign_new", MARKETERS),
    Route("/campaigns/new", create, "campaign_create", MARKETERS, methods=("POST",)),
    Route("/campaigns/summary", summary, "campaign_summary", MARKETERS, methods=("POST",)),
    Route("/campaigns/preview", preview_draft, "campaign_preview_draft", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}", show, "campaign", READERS),
    Route("/campaigns/{id:int}/edit", edit, "campaign_edit", MARKETERS),
    Route("/campaigns/{id:int}/edit", save, "campaign_save", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/foresight", foresight, "campaign_foresight", READERS),
    Route("/campaigns/{id:int}/preview", preview, "campaign_preview", READERS),
    Route("/campaigns/{id:int}/messages", messages, "campaign_messages", READERS),
    Route("/campaigns/{id:int}/copy", duplicate, "campaign_copy", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/test", test, "campaign_test", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/launch", launch, "campaign_launch", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/pause", pause, "campaign_pause", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/resume", resume, "campaign_resume", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/cancel", cancel, "campaign_cancel", MARKETERS, methods=("POST",)),
    Route("/campaigns/{id:int}/delete", remove, "campaign_delete", MARKETERS, methods=("POST",)),
]

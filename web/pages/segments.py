"""Segments: their list; `segment_builder` writes them, `segment_over_time` shows one."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from runtime.clock import local_date, utc_now
from runtime.errors import Conflict, Invalid
from segments import engine, store
from segments.context import EvaluationContext, context_at
from segments.lately import moved_since
from segments.models import segments
from web.access import MARKETERS, READERS, Route, house_of
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.render import page, redirect
from web.sentences import names_in, sentence
from web.view import number

SORTS = {
    "name": segments.c.name,
    "members": segments.c.count,
    "evaluated": segments.c.counted_at,
    "updated": segments.c.updated_at,
}
LATELY = timedelta(days=6)  # before today: a week


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="name")
    statement = store.segment_rows()
    if asked.q:
        wanted = (segments.c.name, segments.c.description)
        statement = statement.where(or_(*(column.icontains(asked.q, autoescape=True) for column in wanted)))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, segments.c.id)
        names = await names_in(conn, (row.rule for row in found.rows))
        today = local_date(utc_now(), house_of(request).settings.timezone)
        moves = await moved_since(conn, [row.id for row in found.rows], today - LATELY)
    sentences = {row.id: sentence(row.rule, names) for row in found.rows}
    return page(
        request,
        "segments/list.html",
        partial="results",
        listing=asked,
        found=found,
        sentences=sentences,
        moves=moves,
    )


async def count_now(request: Request) -> Response:
    """The members of a segment that was not evaluated yet, into its place in the list."""
    async with house_of(request).database.connect() as conn:
        found = await store.segment(conn, request.path_params["id"])
        count = await engine.count(conn, found.rule, _context(request))
    return HTMLResponse(number(count))


async def remove(request: Request) -> Response:
    confirmed, segment_id = str((await request.form()).get("confirm", "")).strip(), request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            found = await store.segment(conn, segment_id)
            if confirmed != found.name:
                raise Invalid(_("Nothing was deleted: the name that was typed is another."))
            await store.delete_segment(conn, segment_id)
    except Conflict as error:
        return redirect(request, "segment", id=segment_id, flash=str(error), kind="danger")
    return redirect(request, "segments", flash=_("The segment %(name)s is deleted.", name=found.name))


def _context(request: Request) -> EvaluationContext:
    return context_at(utc_now(), house_of(request).settings)


ROUTES = [
    Route("/segments", listing, "segments", READERS),
    Route("/segments/{id:int}/count", count_now, "segment_count", READERS),
    Route("/segments/{id:int}/delete", remove, "segment_delete", MARKETERS, methods=("POST",)),
]

"""Lists: uploaded people, how their lines were matched, who they are, what uses them."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.imports.pending import list_pending
from customers.imports.uploads import get_import
from customers.models import communities, customers, salespeople
from customers.reading import SORTS as PEOPLE_SORTS
from customers.reading import Search, find_customers
from runtime.errors import Conflict, Invalid, NotFound
from segments.audiences import (
    LINE_KINDS,
    Audience,
    audience,
    audience_of,
    audience_rows,
    delete_audience,
    look_again,
    reasons,
    rename_audience,
)
from segments.lines import LIST_KIND
from segments.models import audience_members, audiences
from segments.uses import audience_users
from web.access import MARKETERS, READERS, Route, Viewer, house_of, viewer_of
from web.downloads import lines_download
from web.i18n import N_, _
from web.listing import Page, fetch_page, read_listing
from web.names import names_of
from web.render import page, redirect

SORTS = {
    "name": audiences.c.name,
    "people": audiences.c.matched,
    "lines": audiences.c.rows,
    "created": audiences.c.created_at,
}
MOVING = ("queued", "running")
OUTCOMES = {
    "matched": N_("Matched"),
    "unmatched": N_("Unmatched"),
    "ambiguous": N_("Ambiguous"),
    "duplicates": N_("Duplicates"),
}
MEANINGS = {
    "matched": N_("The line names one customer, who is on the list."),
    "unmatched": N_("Nobody is known by what the line says, or it cannot be read."),
    "ambiguous": N_("Several customers are known by it: a shared phone, say."),
    "duplicates": N_("An earlier line names the same customer; nobody is on the list twice."),
}


SAID = {
    text: text
    for text in (
        N_("no customer is known by this"),
        N_("this person was erased at their own request and is not taken in again"),
        N_("no customer is named; give external_id, email, phone or an identity"),
    )
}
SEVERAL = re.compile(r"(\d+) customers are known by this")


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="-created")
    statement = audience_rows()
    if asked.q:
        statement = statement.where(audiences.c.name.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, audiences.c.id)
        waiting = await list_pending(conn, [LIST_KIND]) if viewer_of(request).may(MARKETERS) else []
    rows = [audience_of(row) for row in found.rows]
    return page(
        request,
        "audiences/list.html",
        partial="results",
        listing=asked,
        found=Page(rows, found.next),  # type: ignore[arg-type]
        waiting=waiting,
        moving=any(one.state in MOVING for one in rows),
    )


async def show(request: Request) -> Response:
    """How the lines were matched, live, and who is on the list."""
    asked = read_listing(request, tuple(PEOPLE_SORTS), default="name", limit=25)
    target = request.headers.get("HX-Target")
    async with house_of(request).database.connect() as conn:
        found = await audience(conn, request.path_params["id"])
        context = {**await _people(request, conn, found), **await _account(conn, found, viewer_of(request))}
    moving = found.state in MOVING
    over = {"HX-Refresh": "true"} if target == "live" and not moving else {}
    return page(
        request,
        "audiences/show.html",
        partial="people" if target == "people" else "live",
        headers=over,
        one=found,
        listing=asked,
        moving=moving,
        outcomes=OUTCOMES,
        meanings=MEANINGS,
        said=said,
        **context,
    )


async def lines(request: Request) -> Response:
    """The lines that are not matched, as CSV: of one outcome, or all."""
    kind = request.path_params["kind"]
    if kind != "rejects" and kind not in LINE_KINDS:
        raise NotFound(f"there are no lines of the kind {kind[:40]!r}")
    async with house_of(request).database.connect() as conn:
        found = await audience(conn, request.path_params["id"])
    return await lines_download(house_of(request).database, found, None if kind == "rejects" else kind)


async def rename(request: Request) -> Response:
    name = str((await request.form()).get("name", ""))
    audience_id = request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            await rename_audience(conn, audience_id, name)
    except Invalid as error:
        return redirect(request, "audience", id=audience_id, flash=str(error), kind="danger")
    return redirect(request, "audience", id=audience_id, flash=_("The list has its new name."))


async def again(request: Request) -> Response:
    """Look again for those whom nobody knew."""
    audience_id = request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            await look_again(conn, audience_id)
    except Conflict as error:
        return redirect(request, "audience", id=audience_id, flash=str(error), kind="danger")
    return redirect(request, "audience", id=audience_id)


async def remove(request: Request) -> Response:
    confirmed, audience_id = str((await request.form()).get("confirm", "")).strip(), request.path_params["id"]
    try:
        async with house_of(request).database.begin() as conn:
            found = await audience(conn, audience_id)
            if confirmed != found.name:
                raise Invalid(_("Nothing was deleted: the name that was typed is another."))
            await delete_audience(conn, audience_id)
    except Conflict as error:
        return redirect(request, "audience", id=audience_id, flash=str(error), kind="danger")
    return redirect(request, "audiences", flash=_("The list %(name)s is deleted.", name=found.name))


async def _people(request: Request, conn: AsyncConnection, found: Audience) -> dict[str, Any]:
    """Who is on the list: searched and paged as customers are."""
    asked = read_listing(request, tuple(PEOPLE_SORTS), default="name", limit=25)
    on_it = select(audience_members.c.customer_id).where(audience_members.c.audience_id == found.id)
    statement = find_customers(Search(q=asked.q or None), house_of(request).settings).where(customers.c.id.in_(on_it))
    people = await fetch_page(conn, statement, asked, PEOPLE_SORTS, customers.c.id)
    return {
        "people": people,
        "salespeople": await names_of(conn, salespeople, (row.salesperson for row in people.rows)),
        "communities": await names_of(conn, communities, (row.community for row in people.rows)),
    }


async def _account(conn: AsyncConnection, found: Audience, viewer: Viewer) -> dict[str, Any]:
    upload = await get_import(conn, found.import_id) if found.import_id is not None else None
    done = found.state == "done" and found.import_id is not None
    return {
        "upload": upload,
        "reasons": await reasons(conn, found.import_id) if done and found.import_id is not None else [],
        "uses": await audience_users(conn, found.id),
    }


def said(reason: str) -> str:
    """Why a line is not matched, as people say it; what is about a cell stays as it was found."""
    if reason in SAID:
        return _(SAID[reason])
    several = SEVERAL.fullmatch(reason)
    return _("%(count)s customers are known by this", count=several[1]) if several else reason


ROUTES = [
    Route("/audiences", listing, "audiences", READERS),
    Route("/audiences/{id:int}", show, "audience", READERS),
    Route("/audiences/{id:int}/lines/{kind}.csv", lines, "audience_lines", READERS),
    Route("/audiences/{id:int}/rename", rename, "audience_rename", MARKETERS, methods=("POST",)),
    Route("/audiences/{id:int}/again", again, "audience_again", MARKETERS, methods=("POST",)),
    Route("/audiences/{id:int}/delete", remove, "audience_delete", MARKETERS, methods=("POST",)),
]

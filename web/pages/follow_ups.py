"""Follow-ups: a salesperson's day on a phone, and the list of everybody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from customers.models import dealers, salespeople
from runtime.clock import local_date, utc_now
from runtime.errors import Invalid, NotFound, Problem
from sales.models import follow_ups
from sales.outcomes import OUTCOMES, Outcome, record_outcome, undo
from sales.rules import rules_of
from sales.worklist import EVERYBODY, Asked, day_of, listing, rank, version_of
from web.access import KEEPERS, SIGNED_IN, Route, Viewer, house_of, viewer_of
from web.bell import news
from web.follow_up_words import OUTCOMES as OUTCOME_WORDS
from web.follow_up_words import STATES
from web.i18n import _
from web.listing import fetch_page, read_listing
from web.live import wants_events
from web.render import page, redirect
from web.sentences import category_names

SORTS = ("rank", "opened_at", "due_at", "value")


async def all_of_them(request: Request) -> Response:
    """The manager's list; a salesperson sees their own households."""
    house, now = house_of(request), utc_now()
    asked = read_listing(request, SORTS, default="-rank")
    wanted = {name: request.query_params.get(name, "").replace("\0", "") for name in ("rule", "salesperson", "dealer")}
    state = request.query_params.get("state", "open")
    if state not in ("", *STATES):
        raise Invalid(Problem("state", f"must be one of {', '.join(STATES)}"))
    row = follow_ups.c
    sorts = {"rank": rank(now), "opened_at": row.opened_at, "due_at": row.due_at, "value": row.value}
    statement = listing(Asked(state=state, q=asked.q, own=_own(viewer_of(request)), **wanted))
    async with house.database.connect() as conn:
        found = await fetch_page(conn, statement, asked, sorts, row.id)
        rules = {each.code: each for each in await rules_of(conn)}
        own = _own(viewer_of(request))
        chosen: dict[str, Any] = {
            "whose": EVERYBODY if own is None else own,
            "version": await version_of(conn, EVERYBODY if own is None else own),
            "categories": await category_names(conn),
            "teams": [] if viewer_of(request).own_only else await _coded(conn, salespeople),
            "shops": [] if viewer_of(request).own_only else await _coded(conn, dealers),
        }
    return page(
        request,
        "follow_ups/list.html",
        partial="results",
        listing=asked,
        found=found,
        rules=rules,
        state=state,
        wanted=wanted,
        states=STATES,
        now=now,
        today=local_date(now, house.settings.timezone),
        **chosen,
    )


async def today(request: Request) -> Response:
    """What one salesperson has to do now; asked with the version that is shown, 204 where nothing is another."""
    house, viewer = house_of(request), viewer_of(request)
    code = _whose(request)
    if code is None:
        return redirect(request, "follow_ups") if not viewer.own_only else await _day(request, "")
    shown = request.query_params.get("version")
    if shown is not None:
        async with house.database.connect() as conn:
            if await version_of(conn, code) == shown:
                return Response(status_code=204)
    return await _day(request, code)


async def tell(request: Request) -> Response:
    """Events for whoever looks at a day, or at everybody's (`salesperson` is EVERYBODY)."""
    if not wants_events(request):
        return redirect(request, "today")
    viewer, asked = viewer_of(request), request.query_params.get("salesperson", "").replace("\0", "")
    code = (viewer.salesperson or "") if viewer.own_only else asked or viewer.salesperson or ""
    return news(request, code, request.query_params.get("version", ""), SIGNED_IN)


async def close(request: Request) -> Response:
    """One tap: what came of it."""
    form, viewer = await request.form(), viewer_of(request)
    said = Outcome(str(form.get("outcome", "")), viewer.name or viewer.email, str(form.get("note", "")))
    async with house_of(request).database.begin() as conn:
        found = await record_outcome(conn, _id(request), said, utc_now(), salesperson=_own(viewer))
    if request.headers.get("HX-Target") == "today":
        return await _day(request, found.salesperson)
    return redirect(request, "today", flash=_("Noted."), **_who(request, found.salesperson))


async def open_again(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        found = await undo(conn, _id(request), utc_now(), salesperson=_own(viewer_of(request)))
    if request.headers.get("HX-Target") == "today":
        return await _day(request, found.salesperson)
    return redirect(request, "today", flash=_("It is open again."), **_who(request, found.salesperson))


async def _day(request: Request, code: str) -> Response:
    house, now = house_of(request), utc_now()
    async with house.database.connect() as conn:
        named = select(salespeople.c.name).where(salespeople.c.code == code)
        context: dict[str, Any] = {
            "name": await conn.scalar(named) or code,
            "version": await version_of(conn, code),
            "day": await day_of(conn, code, now, house.settings.zone),
            "rules": {each.code: each for each in await rules_of(conn)},
            "categories": await category_names(conn),
        }
    return page(
        request,
        "follow_ups/today.html",
        partial="today",
        code=code,
        now=now,
        today_is=local_date(now, house.settings.timezone),
        outcomes={name: OUTCOME_WORDS[name] for name in OUTCOME_WORDS if name in OUTCOMES},
        **context,
    )


def _whose(request: Request) -> str | None:
    """The code of whose day is asked for: one's own; whoever sees all may name another."""
    viewer = viewer_of(request)
    if viewer.own_only:
        return viewer.salesperson
    return request.query_params.get("salesperson", "").replace("\0", "") or viewer.salesperson


def _who(request: Request, code: str) -> dict[str, str]:
    return {} if viewer_of(request).salesperson == code else {"salesperson": code}


def _own(viewer: Viewer) -> str | None:
    return (viewer.salesperson or "") if viewer.own_only else None


def _id(request: Request) -> int:
    found: int = request.path_params["id"]
    if found >= 2**63:
        raise NotFound(f"there is no follow-up {found}")
    return found


async def _coded(conn: Any, table: Any) -> list[tuple[str, str]]:
    rows = await conn.execute(select(table.c.code, table.c.name).order_by(table.c.code).limit(500))
    return [(row.code, row.name or row.code) for row in rows]


ROUTES = [
    Route("/today", today, "today", SIGNED_IN),
    Route("/today/news", tell, "today_news", SIGNED_IN),
    Route("/follow-ups", all_of_them, "follow_ups", SIGNED_IN),
    Route("/follow-ups/{id:int}/outcome", close, "follow_up_close", KEEPERS, methods=("POST",)),
    Route("/follow-ups/{id:int}/undo", open_again, "follow_up_undo", KEEPERS, methods=("POST",)),
]

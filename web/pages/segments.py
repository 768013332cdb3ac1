"""Segments: list, page, builder with live count and sample."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from customers.models import communities, dealers, salespeople
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid, Problem
from segments import engine, store
from segments.context import EvaluationContext, context_at
from segments.models import audiences, segments
from segments.schema import load_schema
from segments.suggestions import suggest
from segments.words import Names, rule_in_words
from web.access import MARKETERS, MIB, READERS, Route, house_of, viewer_of
from web.i18n import _, current_language
from web.listing import fetch_page, read_listing
from web.names import names_of
from web.pages.customers import category_names
from web.render import fragment, page, redirect
from web.strict_json import read_json
from web.view import STATES, number, state_name
from web.vocabulary import builder_vocabulary

SORTS = {"name": segments.c.name, "members": segments.c.count, "updated": segments.c.updated_at}
EVERYONE: dict[str, Any] = {"all": []}
SAMPLE = 8
OFFERED = 100
CODED = {"community": communities, "dealer": dealers, "salesperson": salespeople}


async def listing(request: Request) -> Response:
    asked = read_listing(request, tuple(SORTS), default="name")
    statement = store.segment_rows()
    if asked.q:
        wanted = (segments.c.name, segments.c.description)
        statement = statement.where(or_(*(column.icontains(asked.q, autoescape=True) for column in wanted)))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, segments.c.id)
        names = await _names(conn)
    sentences = {row.id: _sentence(row.rule, names) for row in found.rows}
    return page(request, "segments/list.html", partial="results", listing=asked, found=found, sentences=sentences)


async def show(request: Request) -> Response:
    """A segment as it is now: counted at every look, the number kept for the list."""
    async with house_of(request).database.begin() as conn:
        segment = await store.segment(conn, request.path_params["id"])
        count = await store.recount(conn, segment.id, _context(request))
        sample = await _people(conn, await engine.sample(conn, segment.rule, _context(request), size=20))
        sentence = _sentence(segment.rule, await _names(conn))
    return page(request, "segments/show.html", segment=segment, count=count, sample=sample, sentence=sentence)


async def count_now(request: Request) -> Response:
    """The members of a segment that was never counted, into its place in the list."""
    async with house_of(request).database.begin() as conn:
        found = await store.recount(conn, request.path_params["id"], _context(request))
    return HTMLResponse(number(found))


async def new(request: Request) -> Response:
    return await _form_page(request, name="", description="", rule=EVERYONE)


async def create(request: Request) -> Response:
    name, description, rule = await _read_form(request)
    try:
        async with house_of(request).database.begin() as conn:
            made = await store.create_segment(
                conn, name, _parsed(rule), description=description, by=viewer_of(request).name
            )
    except (Invalid, Conflict) as error:
        return await _form_page(request, name=name, description=description, rule=rule, error=error)
    return redirect(request, "segment", id=made.id, flash=_("The segment is saved."))


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await store.segment(conn, request.path_params["id"])
    return await _form_page(
        request, name=found.name, description=found.description, rule=found.rule, segment_id=found.id
    )


async def save(request: Request) -> Response:
    segment_id = request.path_params["id"]
    name, description, rule = await _read_form(request)
    try:
        async with house_of(request).database.begin() as conn:
            await store.update_segment(conn, segment_id, name=name, description=description, rule=_parsed(rule))
    except (Invalid, Conflict) as error:
        return await _form_page(
            request, name=name, description=description, rule=rule, error=error, segment_id=segment_id
        )
    return redirect(request, "segment", id=segment_id, flash=_("The segment is saved."))


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


async def preview(request: Request) -> Response:
    """What the builder's rule comes to: `{"problems", "html"}`; a rule with problems is no error here."""
    body = _parsed(await request.body())
    rule = body.get("rule") if isinstance(body, dict) else None
    found: dict[str, Any] = {"count": None, "sample": [], "sentence": None}
    problems: list[Problem] = []
    try:
        async with house_of(request).database.connect() as conn:
            found["count"] = await engine.count(conn, rule, _context(request))
            found["sample"] = await _people(conn, await engine.sample(conn, rule, _context(request), size=SAMPLE))
            found["sentence"] = _sentence(rule, await _names(conn))
    except Invalid as error:
        problems = error.problems
    html = fragment(request, "segments/preview.html", problems=problems, **found)
    return JSONResponse({"problems": [vars(problem) for problem in problems], "html": html})


async def offer(request: Request) -> Response:
    """Values that the data holds for a field, the commonest first: `[{"value", "name", "label"}]`."""
    source, field = request.query_params.get("source") or None, request.query_params.get("field", "")
    async with house_of(request).database.connect() as conn:
        found = await suggest(conn, source, field, limit=OFFERED)
        names = await _called(conn, field, [one.value for one in found])
    called = [(one, names.get(one.value, one.value)) for one in found]
    return JSONResponse([{"value": one.value, "name": name, "label": f"{name} ({one.count})"} for one, name in called])


async def _people(conn: AsyncConnection, sample: list[engine.Person]) -> list[dict[str, Any]]:
    """People of a sample, community and salesperson by name."""
    homes = await names_of(conn, communities, (one.community for one in sample))
    sellers = await names_of(conn, salespeople, (one.salesperson for one in sample))
    return [
        {
            **vars(one),
            "community": homes.get(one.community or "", one.community),
            "salesperson": sellers.get(one.salesperson or "", one.salesperson),
        }
        for one in sample
    ]


async def _called(conn: AsyncConnection, field: str, values: list[str]) -> dict[str, str]:
    """What people call the values of a field that holds codes or our own words."""
    if field == "category":
        return await category_names(conn)
    if field in CODED:
        return await names_of(conn, CODED[field], values)
    return {value: state_name(value) for value in values} if field in ("status", "state") else {}


def _context(request: Request) -> EvaluationContext:
    return context_at(utc_now(), house_of(request).settings)


def _sentence(rule: Any, names: Names) -> str:
    return rule_in_words(rule, current_language(), names)


async def _names(conn: AsyncConnection) -> Names:
    """What segments, lists, categories and states are called; they are few."""
    named = [{row.id: row.name for row in await conn.execute(select(t.c.id, t.c.name))} for t in (segments, audiences)]
    states = {state: state_name(state) for state in STATES}
    values = {"category": await category_names(conn), "status": states, "state": states}
    return Names(segments=named[0], audiences=named[1], values=values)


async def _read_form(request: Request) -> tuple[str, str, str]:
    form = await request.form()
    return str(form.get("name", "")).strip(), str(form.get("description", "")).strip(), str(form.get("rule", ""))


def _parsed(text: str | bytes) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise Invalid(Problem("rule", f"is not JSON: {error}")) from None


async def _form_page(
    request: Request,
    *,
    name: str,
    description: str,
    rule: Any,
    error: Invalid | Conflict | None = None,
    segment_id: int | None = None,
) -> Response:
    async with house_of(request).database.connect() as conn:
        vocabulary = builder_vocabulary(await load_schema(conn))
        others = (await conn.execute(select(segments.c.id, segments.c.name).order_by(segments.c.name))).all()
        lists = (await conn.execute(select(audiences.c.id, audiences.c.name).order_by(audiences.c.name))).all()
    problems = error.problems if isinstance(error, Invalid) else [Problem("", str(error))] if error else []
    return page(
        request,
        "segments/form.html",
        status=422 if error else 200,
        name=name,
        description=description,
        rule=rule if isinstance(rule, str) else json.dumps(rule, ensure_ascii=False),
        vocabulary=vocabulary,
        choices={
            "segments": [[row.id, row.name] for row in others if row.id != segment_id],
            "audiences": [[row.id, row.name] for row in lists],
        },
        errors={problem.path: problem.message for problem in problems if problem.path == "name"},
        problems=[problem for problem in problems if problem.path != "name"],
        segment_id=segment_id,
    )


ROUTES = [
    Route("/segments", listing, "segments", READERS),
    Route("/segments/new", new, "segment_new", MARKETERS),
    Route("/segments/new", create, "segment_create", MARKETERS, methods=("POST",)),
    Route("/segments/preview", preview, "segment_preview", MARKETERS, methods=("POST",), limit=MIB),
    Route("/segments/suggest", offer, "segment_suggest", MARKETERS),
    Route("/segments/{id:int}", show, "segment", READERS),
    Route("/segments/{id:int}/count", count_now, "segment_count", READERS),
    Route("/segments/{id:int}/edit", edit, "segment_edit", MARKETERS),
    Route("/segments/{id:int}/edit", save, "segment_save", MARKETERS, methods=("POST",)),
    Route("/segments/{id:int}/delete", remove, "segment_delete", MARKETERS, methods=("POST",)),
]

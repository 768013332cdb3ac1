"""The segment builder: its form, and what it asks while a rule is written."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from customers.bulk import among
from customers.models import communities, customers, salespeople
from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid, Problem
from segments import engine, looking, store
from segments.context import EvaluationContext, context_at
from segments.models import audiences, segments
from segments.schema import load_schema
from segments.suggestions import Suggestion, suggest
from web.access import MARKETERS, MIB, Route, house_of, viewer_of
from web.i18n import _
from web.leaving import while_awaited
from web.names import names_of
from web.pages.ready_made import asked_for
from web.render import fragment, page, redirect
from web.sentences import CODED, names_in, sentence
from web.strict_json import read_json
from web.told import told_problems
from web.vocabulary import builder_vocabulary

EVERYONE: dict[str, Any] = {"all": []}
SAMPLE = 8
OFFERED = 100
FIELDS = ("name", "holdout_percent")  # beside the rule, in which the API may find something wrong


@dataclass(frozen=True)
class Form:
    """A segment as typed; `rule` is JSON."""

    name: str = ""
    description: str = ""
    rule: str = ""
    holdout_percent: str = ""

    @property
    def share(self) -> float:
        """Raises Invalid for what is no number."""
        try:
            return float(self.holdout_percent or 0)
        except ValueError:
            raise Invalid(Problem("holdout_percent", _("must be a number of percent"))) from None


async def new(request: Request) -> Response:
    """The builder: empty, with a ready-made segment in it (`?ready_made=at_risk`) or a rule (`?rule={…}&name=…`)."""
    given = request.query_params.get("rule")
    if given is not None:
        name = request.query_params.get("name", "")
        return await _form_page(request, Form(name=name, rule=given))
    async with house_of(request).database.connect() as conn:
        ready = await asked_for(request, conn)
    name, description, rule = ready or ("", "", EVERYONE)
    return await _form_page(request, Form(name, description, _shown(rule)))


async def create(request: Request) -> Response:
    typed = await _read_form(request)
    try:
        async with house_of(request).database.begin() as conn:
            made = await store.create_segment(
                conn,
                typed.name,
                _parsed(typed.rule),
                description=typed.description,
                holdout_percent=typed.share,
                by=viewer_of(request).name,
            )
    except (Invalid, Conflict) as error:
        return await _form_page(request, typed, error=error)
    return redirect(request, "segment", id=made.id, flash=_("The segment is saved."))


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await store.segment(conn, request.path_params["id"])
    share = f"{found.holdout_percent:g}" if found.holdout_percent else ""
    form = Form(found.name, found.description, _shown(found.rule), share)
    return await _form_page(request, form, segment_id=found.id)


async def save(request: Request) -> Response:
    segment_id = request.path_params["id"]
    typed = await _read_form(request)
    try:
        async with house_of(request).database.begin() as conn:
            await store.update_segment(
                conn,
                segment_id,
                name=typed.name,
                description=typed.description,
                rule=_parsed(typed.rule),
                holdout_percent=typed.share,
            )
    except (Invalid, Conflict) as error:
        return await _form_page(request, typed, error=error, segment_id=segment_id)
    return redirect(request, "segment", id=segment_id, flash=_("The segment is saved."))


@while_awaited
async def estimate(request: Request) -> Response:
    """The rule in words, and about how many belong: `{"problems", "sentence", "count", "low", "high", …}`."""

    async def find(conn: AsyncConnection, rule: Any) -> dict[str, Any]:
        prepared = await engine.prepare(conn, rule, _context(request))
        found = await looking.estimate(conn, prepared, _context(request))
        return {**vars(found), "sentence": sentence(rule, await names_in(conn, [rule]))}

    return await _told(request, find)


@while_awaited
async def preview(request: Request) -> Response:
    """How many belong, and some of them: `{"problems", "count", "html"}`."""

    async def find(conn: AsyncConnection, rule: Any) -> dict[str, Any]:
        prepared = await engine.prepare(conn, rule, _context(request))
        count = await engine.count(conn, prepared, _context(request))
        people = await people_of(conn, await engine.sample(conn, prepared, _context(request), size=SAMPLE))
        return {"count": count, "html": fragment(request, "segments/people.html", sample=people)}

    return await _told(request, find)


@while_awaited
async def funnel(request: Request) -> Response:
    """What each condition at the top leaves: `{"problems", "everyone", "count", "steps"}`."""

    async def find(conn: AsyncConnection, rule: Any) -> dict[str, Any]:
        found = await looking.funnel(conn, rule, _context(request))
        return {**vars(found), "steps": [vars(step) for step in found.steps]}

    return await _told(request, find)


async def offer(request: Request) -> Response:
    """Values that the data holds for a field, the commonest first: `[{"value", "name", "count"}]`; `q`: like it."""
    source, field = request.query_params.get("source") or None, request.query_params.get("field", "")
    typed = request.query_params.get("q", "").strip()
    async with house_of(request).database.connect() as conn:
        found = await suggest(conn, source, field, typed, limit=OFFERED)
        if typed and source is None and field in CODED:
            found = _merged(found, await _called_like(conn, field, CODED[field], typed))
        names = await _called(conn, field, [one.value for one in found])
    return JSONResponse(
        [{"value": one.value, "name": names.get(one.value, one.value), "count": one.count} for one in found]
    )


async def people_of(conn: AsyncConnection, sample: list[engine.Person]) -> list[dict[str, Any]]:
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


async def _told(request: Request, find: Callable[[AsyncConnection, Any], Awaitable[dict[str, Any]]]) -> Response:
    """What `find` says of the rule in the body; one with problems is no error here."""
    started = time.perf_counter()
    body = _parsed(await request.body())
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    try:
        async with house_of(request).database.connect() as conn:
            found = await find(conn, body.get("rule") if isinstance(body, dict) else None)
    except Invalid as error:
        problems = error.problems
    took = round((time.perf_counter() - started) * 1000, 1)
    return JSONResponse({"problems": [vars(problem) for problem in told_problems(problems)], "took_ms": took, **found})


async def _called_like(conn: AsyncConnection, field: str, table: Table, typed: str) -> list[Suggestion]:
    """Codes whose name holds what was typed, with how many customers have them."""
    named = select(table.c.code).where(table.c.name.icontains(typed, autoescape=True)).limit(OFFERED)
    codes = list(await conn.scalars(named))
    column, number = customers.c[field], func.count()
    having = select(column, number).where(among(column, codes), customers.c.merged_into.is_(None)).group_by(column)
    return [Suggestion(code, count) for code, count in await conn.execute(having.order_by(number.desc(), column))]


def _merged(*found: Iterable[Suggestion]) -> list[Suggestion]:
    return list({one.value: one for several in found for one in several}.values())


async def _called(conn: AsyncConnection, field: str, values: list[str]) -> Mapping[str, str]:
    """What people call these values of a field, where they are codes or our own words."""
    return (await names_in(conn, [{"field": field, "value": values}])).values.get(field, {})


def _context(request: Request) -> EvaluationContext:
    return context_at(utc_now(), house_of(request).settings)


async def _read_form(request: Request) -> Form:
    sent = await request.form()
    typed = [str(sent.get(name, "")).strip() for name in ("name", "description", "rule", "holdout_percent")]
    return Form(*typed)


def _shown(rule: Any) -> str:
    return json.dumps(rule, ensure_ascii=False)


def _parsed(text: str | bytes) -> Any:
    try:
        return read_json(text)
    except ValueError as error:
        raise Invalid(Problem("rule", f"is not JSON: {error}")) from None


async def _form_page(
    request: Request,
    form: Form,
    *,
    error: Invalid | Conflict | None = None,
    segment_id: int | None = None,
) -> Response:
    problems = error.problems if isinstance(error, Invalid) else [Problem("", str(error))] if error else []
    async with house_of(request).database.connect() as conn:
        context = await builder_context(conn, request, problems, without=segment_id)
    return page(
        request,
        "segments/form.html",
        status=422 if error else 200,
        **vars(form),
        **context,
        errors={problem.path: problem.message for problem in problems if problem.path in FIELDS},
        segment_id=segment_id,
    )


async def builder_context(
    conn: AsyncConnection, request: Request, problems: list[Problem], *, without: int | None = None
) -> dict[str, Any]:
    """What the templates segments/builder*.html ask for beside the rule. `problems`: of the rule, by their path in it;
    `without`: a segment that is not offered."""
    own = [problem for problem in problems if problem.path not in FIELDS]
    return {
        "vocabulary": builder_vocabulary(await load_schema(conn), house_of(request).settings.currency),
        "choices": {
            "segments": [one for one in await _segments(conn) if one[0] != without],
            "audiences": await _lists(conn),
        },
        "problems": own,
        "marked": [vars(problem) for problem in told_problems(own) if problem.path not in ("", "rule")],
    }


async def _segments(conn: AsyncConnection) -> list[list[Any]]:
    """Id, name and last count of every segment."""
    found = select(segments.c.id, segments.c.name, segments.c.count).order_by(segments.c.name)
    return [list(row) for row in await conn.execute(found)]


async def _lists(conn: AsyncConnection) -> list[list[Any]]:
    """Id, name, people and whether it is matched, of every uploaded list: only those that are done are offered."""
    found = select(audiences.c.id, audiences.c.name, audiences.c.matched, audiences.c.state == "done")
    return [list(row) for row in await conn.execute(found.order_by(audiences.c.name))]


ROUTES = [
    Route("/segments/new", new, "segment_new", MARKETERS),
    Route("/segments/new", create, "segment_create", MARKETERS, methods=("POST",)),
    Route("/segments/estimate", estimate, "segment_estimate", MARKETERS, methods=("POST",), limit=MIB),
    Route("/segments/preview", preview, "segment_preview", MARKETERS, methods=("POST",), limit=MIB),
    Route("/segments/funnel", funnel, "segment_funnel", MARKETERS, methods=("POST",), limit=MIB),
    Route("/segments/suggest", offer, "segment_suggest", MARKETERS),
    Route("/segments/{id:int}/edit", edit, "segment_edit", MARKETERS),
    Route("/segments/{id:int}/edit", save, "segment_save", MARKETERS, methods=("POST",)),
]

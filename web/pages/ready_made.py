"""Ready-made segments: a gallery by intention, with live counts; each is used in the builder or added as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from runtime.clock import local_date, utc_now
from runtime.errors import Invalid
from segments import engine, looking, store
from segments.context import EvaluationContext, context_at
from segments.patterns import time_limit
from segments.ready_made import ReadyMade, ready_made, said, written
from segments.recipe_words import INTENTIONS
from segments.words import Names
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.i18n import _, current_language
from web.render import fragment, page, redirect
from web.sentences import names_in, sentence

ICONS = {
    "replacement": "refresh",
    "service": "filter",
    "warranty": "shield-check",
    "growth": "trending-up",
    "risk": "alert-triangle",
    "reach": "mail",
}
COUNT_SECONDS = 0.2
FEW = 2  # members at most for each customer who was asked
CHANGED = "segmentsChanged"


async def gallery(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        offered = await _offered(request, conn)
        names = await names_in(conn, (one.rule for one in offered))
    return page(request, "segments/ready_made.html", partial="gallery", groups=_groups(offered, names))


async def counts(request: Request) -> Response:
    """About how many belong to each of one intention, every number into its place."""
    context = context_at(utc_now(), house_of(request).settings)
    intention = request.query_params.get("intention")
    found: dict[str, looking.Estimate] = {}
    async with house_of(request).database.connect() as conn:
        for one in await _offered(request, conn):
            if one.intention == intention:
                found[_key(one)] = await _about(conn, one.rule, context)
    return HTMLResponse(fragment(request, "segments/ready_counts.html", counts=found))


async def _about(conn: AsyncConnection, rule: Any, context: EvaluationContext) -> looking.Estimate:
    """An estimate; few are counted, which is quick where a part of the rule names them, or else given up."""
    found = await looking.estimate(conn, rule, context, seconds=COUNT_SECONDS)
    if found.exact or found.high > found.sampled * FEW:
        return found
    try:
        async with time_limit(conn, COUNT_SECONDS):
            number = await engine.count(conn, rule, context)
    except Invalid:
        return found
    return looking.Estimate(number, number, number, number, exact=True)


async def add(request: Request) -> Response:
    """Keep one as it is; asked by htmx, the answer is its row."""
    form = await request.form()
    given = {name: value for name, value in form.items() if isinstance(value, str)}
    async with house_of(request).database.begin() as conn:
        one = await written(conn, given.get("code", ""), given)
        if one.segment_id is None:
            await store.create_segment(
                conn, _said(one.name), one.rule, description=_said(one.advice), by=viewer_of(request).name
            )
            one = await written(conn, one.code, given)
        names = await names_in(conn, [one.rule])
    if "hx-request" not in request.headers:
        return redirect(request, "segments", flash=_("The segment %(name)s is added.", name=_said(one.name)))
    told = {"text": _("The segment %(name)s is added.", name=_said(one.name)), "kind": "success"}
    html = fragment(request, "segments/ready_row.html", row=_row(one, names))
    return HTMLResponse(html, headers={"HX-Trigger": json.dumps({CHANGED: True, "toast": told})})


async def asked_for(request: Request, conn: AsyncConnection) -> tuple[str, str, Any] | None:
    """Name, description and rule of the one that the address names (`?ready_made=at_risk&days=30`), if it does."""
    code = request.query_params.get("ready_made")
    if not code:
        return None
    one = await written(conn, code, request.query_params)
    return _said(one.name), _said(one.advice), one.rule


async def _offered(request: Request, conn: AsyncConnection) -> list[ReadyMade]:
    return await ready_made(conn, local_date(utc_now(), house_of(request).settings.timezone))


def _groups(offered: Sequence[ReadyMade], names: Names) -> list[dict[str, Any]]:
    """Cards by intention; a card is one recipe, with a row for each choice."""
    return [
        {
            "intention": intention,
            "label": _said(words),
            "icon": ICONS[intention],
            "cards": [
                _card(list(rows), names)
                for _code, rows in groupby((one for one in offered if one.intention == intention), lambda one: one.code)
            ],
        }
        for intention, words in INTENTIONS.items()
    ]


def _card(same: Sequence[ReadyMade], names: Names) -> dict[str, Any]:
    first = same[0]
    return {
        "title": _said(first.title),
        "description": _said(first.description),
        "advice": _said(first.advice),
        "sentence": None if first.choice else sentence(first.rule, names),
        "rows": [_row(one, names) for one in same],
    }


def _row(one: ReadyMade, names: Names) -> dict[str, Any]:
    return {
        "key": _key(one),
        "code": one.code,
        "parameters": one.parameters,
        "name": _said(one.name),
        "choice": _capital(_said(one.choice)) if one.choice else None,
        "sentence": sentence(one.rule, names),
        "segment_id": one.segment_id,
    }


def _key(one: ReadyMade) -> str:
    """An id for the page: which recipe with which parameters."""
    return hashlib.sha256(json.dumps([one.code, dict(one.parameters)]).encode()).hexdigest()[:12]


def _said(words: tuple[str, str]) -> str:
    return said(words, current_language())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


ROUTES = [
    Route("/segments/ready-made", gallery, "ready_made", READERS),
    Route("/segments/ready-made/counts", counts, "ready_made_counts", READERS),
    Route("/segments/ready-made/add", add, "ready_made_add", MARKETERS, methods=("POST",)),
]

"""How two segments overlap: a picture with its numbers; each part becomes a segment by one click."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from segments import looking, store
from segments.context import context_at
from segments.models import segments
from web.access import MARKETERS, MIB, READERS, Route, house_of
from web.i18n import _
from web.leaving import while_awaited
from web.render import fragment, page
from web.strict_json import read_json
from web.venn import HEIGHT, WIDTH, venn


@while_awaited
async def show(request: Request) -> Response:
    """Two kept segments laid over each other (`?a=1&b=2`); with one or none, the choice of them."""
    ids = [_id(request.query_params.get(side)) for side in ("a", "b")]
    async with house_of(request).database.connect() as conn:
        named = (await conn.execute(select(segments.c.id, segments.c.name).order_by(segments.c.name))).all()
        sides = [await store.segment(conn, one) for one in ids if one is not None]
        found = None
        if len(sides) == 2:
            found = await _picture(request, conn, *(({"in_segment": one.id}, one.name) for one in sides))
    chosen = [str(one or "") for one in ids]
    options = [("", "–")] + [(str(row.id), row.name) for row in named]
    return page(request, "segments/overlap.html", options=options, a=chosen[0], b=chosen[1], found=found)


@while_awaited
async def beside(request: Request) -> Response:
    """The rule that is being written beside a kept segment: `{"html"}`."""
    try:
        body = read_json(await request.body())
    except ValueError as error:
        raise Invalid(Problem("", f"is not JSON: {error}")) from None
    other_id = _id(str(body.get("other"))) if isinstance(body, dict) else None
    if other_id is None:
        raise Invalid(Problem("other", "is required: the id of a segment"))
    async with house_of(request).database.connect() as conn:
        other = await store.segment(conn, other_id)
        found = await _picture(request, conn, (body.get("rule"), ""), ({"in_segment": other.id}, other.name))
    return JSONResponse({"html": fragment(request, "segments/overlap_picture.html", found=found)})


async def _picture(request: Request, conn: AsyncConnection, a: tuple[Any, str], b: tuple[Any, str]) -> dict[str, Any]:
    """Circles, and the three parts with their names, numbers and rules; the rule being written has no name."""
    found = await looking.overlap(conn, a[0], b[0], context_at(utc_now(), house_of(request).settings))
    every = found.only_a + found.both + found.only_b
    parts = [
        (
            "a",
            _("Only %(name)s", name=a[1]) if a[1] else _("Only this rule"),
            found.only_a,
            {"all": [a[0], {"none": [b[0]]}]},
        ),
        ("both", _("Both"), found.both, {"all": [a[0], b[0]]}),
        ("b", _("Only %(name)s", name=b[1]), found.only_b, {"all": [b[0], {"none": [a[0]]}]}),
    ]
    return {
        "venn": venn(found.only_a, found.both, found.only_b) if every else None,
        "size": (WIDTH, HEIGHT),
        "parts": [
            {"key": key, "label": label, "count": count, "share": count / every if every else None, "rule": _text(rule)}
            for key, label, count, rule in parts
        ],
    }


def _text(rule: Any) -> str:
    return json.dumps(rule, ensure_ascii=False, separators=(",", ":"))


def _id(given: str | None) -> int | None:
    """An id as it was given; None for what is none."""
    return int(given) if given and given.isdecimal() and len(given) < 19 else None


ROUTES = [
    Route("/segments/overlap", show, "segment_overlap", READERS),
    Route("/segments/overlap", beside, "segment_overlap_with", MARKETERS, methods=("POST",), limit=MIB),
]

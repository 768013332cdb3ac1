"""What counts how much in a salesperson's score, with what it would change before it is saved."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from sales.facts import MATCHED, PARTS
from sales.period import period_of
from sales.scores import DEFAULTS, Weight, check_weights, ranking, save_weights, weights_of
from web.access import ADMINS, READERS, Route, house_of
from web.i18n import _
from web.pages.salespeople import PARTS as WORDS
from web.render import page, redirect

SHARES = tuple(part for part in PARTS if part not in MATCHED)
"""Parts whose target is shown and given in per cent."""


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        return await _page(request, await weights_of(conn), {}, None)


async def save(request: Request) -> Response:
    """Save, or show what these weights would change (`preview`)."""
    form, house = await request.form(), house_of(request)
    try:
        weights = _read(form)
        check_weights(weights)
    except Invalid as error:
        async with house.database.connect() as conn:
            return await _page(request, await weights_of(conn), _said(error), None)
    if form.get("act") == "preview":
        period = period_of(utc_now(), house.settings.zone)
        async with house.database.connect() as conn:
            before = {one.code: one for one in await ranking(conn, period, lately=True)}
            after = await ranking(conn, period, weights=weights, lately=True)
        moved = [{"name": one.name or one.code, "before": before[one.code], "after": one} for one in after]
        return await _page(request, weights, {}, moved)
    async with house.database.begin() as conn:
        await save_weights(conn, weights)
    return redirect(request, "score_weights", flash=_("The weights are saved."))


async def _page(request: Request, weights: Any, errors: dict[str, str], moved: list[dict[str, Any]] | None) -> Response:
    return page(
        request,
        "salespeople/weights.html",
        status=422 if errors else 200,
        weights=weights,
        defaults=DEFAULTS,
        words=WORDS,
        shares=SHARES,
        moved=moved,
        errors=errors,
    )


def _read(form: FormData) -> dict[str, Weight]:
    found = {}
    for part in PARTS:
        target = _number(form, f"target.{part}")
        found[part] = Weight(_number(form, f"weight.{part}"), target / 100 if part in SHARES else target)
    return found


def _number(form: FormData, name: str) -> Decimal:
    try:
        found = Decimal(str(form.get(name, "")).strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Invalid(Problem(name, "must be a number"))
    return found


def _said(error: Invalid) -> dict[str, str]:
    return {problem.path: problem.message for problem in error.problems}


ROUTES = [
    Route("/score-weights", show, "score_weights", READERS),
    Route("/score-weights", save, "score_weights_save", ADMINS, methods=("POST",)),
]

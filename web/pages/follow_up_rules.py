"""Rules of follow-ups: which are on, for whom, upon what, and how many a day a salesperson gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from customers.models import salespeople
from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from sales.opening import capacities, set_capacity
from sales.rules import EVENT, READY_CODES, SIGNALS, FollowUpRule, Signal, drop_rule, rule_of, rules_of, save_rule
from segments.context import context_at
from web.access import MARKETERS, READERS, Route, house_of
from web.follow_up_words import SIGNALS as SIGNAL_WORDS
from web.i18n import _
from web.pages.segment_builder import builder_context
from web.render import page, redirect
from web.sentences import category_names, names_in, sentence
from web.strict_json import read_json
from web.words import EVENTS, VISITS

NEW = FollowUpRule("", "", Signal())
RULE = "rule: "  # before the path of a problem in the rule (sales.rules.check_rule)
NUMBERS = ("count", "within_days", "hours")


async def listing(request: Request, errors: dict[str, str] | None = None) -> Response:
    async with house_of(request).database.connect() as conn:
        rules = await rules_of(conn)
        names = await names_in(conn, (rule.rule for rule in rules))
        given = await capacities(conn)
        people = (await conn.execute(select(salespeople.c.code, salespeople.c.name).order_by(salespeople.c.code))).all()
    said = {rule.code: sentence(rule.rule, names) for rule in rules}
    return page(
        request,
        "follow_ups/rules.html",
        status=422 if errors else 200,
        rules=rules,
        by_code={rule.code: rule for rule in rules},
        said=said,
        signals=SIGNAL_WORDS,
        ready=READY_CODES,
        capacities=given,
        people=people,
        errors=errors or {},
    )


async def new(request: Request) -> Response:
    return await _form(request, NEW, [])


async def edit(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        rule = await rule_of(conn, request.path_params["code"])
    return await _form(request, rule, [])


async def save(request: Request) -> Response:
    """Create or change a rule; what is wrong is said beside its field."""
    form, house, now = await request.form(), house_of(request), utc_now()
    code = str(form.get("code", "")).strip()
    try:
        rule = _read(form, code)
        async with house.database.begin() as conn:
            await save_rule(conn, rule, context_at(now, house.settings), now)
    except Invalid as error:
        return await _form(request, _typed(form, code), error.problems, rule_text=str(form.get("rule", "")))
    return redirect(request, "follow_up_rules", flash=_("The rule is saved. Everybody is looked at within minutes."))


async def drop(request: Request) -> Response:
    async with house_of(request).database.begin() as conn:
        await drop_rule(conn, request.path_params["code"])
    return redirect(request, "follow_up_rules", flash=_("Done."))


async def capacity(request: Request) -> Response:
    """New follow-ups a day: everybody's, or one salesperson's."""
    form = await request.form()
    try:
        daily = _number(form, "daily")
        async with house_of(request).database.begin() as conn:
            await set_capacity(conn, str(form.get("salesperson", "")), daily)
    except Invalid as error:
        return await listing(request, {problem.path: problem.message for problem in error.problems})
    return redirect(request, "follow_up_rules", flash=_("Saved."))


async def _form(
    request: Request, rule: FollowUpRule | SimpleNamespace, problems: Sequence[Problem], rule_text: str | None = None
) -> Response:
    of_rule = [replace(each, path=each.path.removeprefix(RULE)) for each in problems if _is_of_rule(each)]
    async with house_of(request).database.connect() as conn:
        categories = await category_names(conn)
        context = await builder_context(conn, request, of_rule)
    return page(
        request,
        "follow_ups/rule.html",
        status=422 if problems else 200,
        rule=rule,
        rule_text=json.dumps(rule.rule, ensure_ascii=False) if rule_text is None else rule_text,
        is_new=request.path_params.get("code") is None,
        ready=READY_CODES,
        categories=[("", _("any")), *categories.items()],
        events=sorted(EVENTS),
        visits=[("", _("any but a complaint")), *((code, _(word)) for code, word in VISITS.items())],
        signals=[(code, _(SIGNAL_WORDS[code])) for code in SIGNALS],
        errors={each.path: each.message for each in problems if not _is_of_rule(each)},
        **context,
    )


def _is_of_rule(problem: Problem) -> bool:
    return problem.path == "rule" or problem.path.startswith(RULE)


def _typed(form: FormData, code: str) -> SimpleNamespace:
    """A rule as somebody typed it, right or wrong, to be shown again."""
    words = {name: str(form.get(name, "")) for name in ("event", "campaign", "link", "category", "visit", *NUMBERS)}
    signal = SimpleNamespace(kind=str(form.get("signal", "")), **words)
    own = {name: str(form.get(name, "")) for name in ("name", "advice", "value", "due_hours", "cool_down_days")}
    ticked = {name: form.get(name) == "yes" for name in ("at_once", "active")}
    return SimpleNamespace(code=code, signal=signal, rule=None, **own, **ticked)


def _read(form: FormData, code: str) -> FollowUpRule:
    """Raises Invalid for what is no number, no rule."""
    given: dict[str, Any] = {
        name: str(form.get(name, "")).strip() for name in ("campaign", "link", "category", "visit")
    }
    given |= {name: _number(form, name) for name in NUMBERS}
    signal = Signal(
        kind=str(form.get("signal", EVENT)),
        event=str(form.get("event", "")).strip() or "clicked",
        **given,
    )
    return FollowUpRule(
        code=code,
        name=str(form.get("name", "")).strip(),
        signal=signal,
        rule=_rule(form),
        advice=str(form.get("advice", "")).strip()[:500],
        value=_amount(form),
        due_hours=_number(form, "due_hours"),
        cool_down_days=_number(form, "cool_down_days"),
        at_once=form.get("at_once") == "yes",
        active=form.get("active") == "yes",
    )


def _rule(form: FormData) -> Any:
    try:
        found = read_json(str(form.get("rule", "")) or "{}")
    except ValueError as error:
        raise Invalid(Problem("rule", f"is not JSON: {error}")) from None
    return found if found != {} else {"all": []}


def _number(form: FormData, name: str) -> int:
    given = str(form.get(name, "")).strip()
    if not (given.isascii() and given.isdecimal() and len(given) < 9):
        raise Invalid(Problem(name, "must be a whole number"))
    return int(given)


def _amount(form: FormData) -> Decimal:
    try:
        found = Decimal(str(form.get("value", "")).strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Invalid(Problem("value", "must be an amount"))
    return found


ROUTES = [
    Route("/follow-up-rules", listing, "follow_up_rules", READERS),
    Route("/follow-up-rules/new", new, "follow_up_rule_new", MARKETERS),
    Route("/follow-up-rules", save, "follow_up_rule_save", MARKETERS, methods=("POST",)),
    Route("/follow-up-rules/capacity", capacity, "follow_up_capacity", MARKETERS, methods=("POST",)),
    Route("/follow-up-rules/{code}", edit, "follow_up_rule", MARKETERS),
    Route("/follow-up-rules/{code}/drop", drop, "follow_up_rule_drop", MARKETERS, methods=("POST",)),
]

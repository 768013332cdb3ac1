"""Sending: how fast and to whom mail may go, which domains want a pause, and what stops a campaign by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from campaigns.live.heads import warned
from campaigns.sending import overview
from campaigns.sending.limits import Of, remove_limit, save_domain, save_sender
from campaigns.sending.release import release
from campaigns.sending.thresholds import Thresholds, load_thresholds, save_thresholds
from runtime.clock import local_date, utc_now
from runtime.errors import Invalid, Problem
from web.access import MARKETERS, READERS, Route, house_of, viewer_of
from web.i18n import N_, _, ngettext
from web.render import page, redirect

LONGEST = 320
PLANS = {"": N_("None"), "factor": N_("Grows by a factor each day"), "days": N_("A list of days")}


@dataclass(frozen=True)
class SenderForm:
    """A sender as typed. `plan`: a key of PLANS."""

    name: str = ""
    rate: str = ""
    plan: str = ""
    since: str = ""
    first: str = ""
    factor: str = ""
    enough: str = ""
    days: str = ""


@dataclass(frozen=True)
class DomainForm:
    """A recipient domain as typed."""

    name: str = ""
    rate: str = ""
    connections: str = ""


@dataclass(frozen=True)
class ThresholdForm:
    """The thresholds as typed; an empty share: never."""

    complaints_alarm: str = ""
    complaints_pause: str = ""
    bounces_pause: str = ""
    minimum: str = ""


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        return page(
            request,
            "sending/show.html",
            senders=await overview.senders(conn, _today(request)),
            domains=await overview.domains(conn),
            warned=await warned(conn, utc_now()),
            thresholds=await load_thresholds(conn),
            now=utc_now(),
        )


async def sender(request: Request) -> Response:
    """The form of a sender, new or settled."""
    name = request.query_params.get("name", "")[:LONGEST]
    async with house_of(request).database.connect() as conn:
        found = await overview.sender(conn, name.lower(), _today(request))
    return _sender_page(request, SenderForm(name) if found is None else _typed(found), known=found is not None)


async def sender_save(request: Request) -> Response:
    form = SenderForm(**await _fields(request, SenderForm))
    today = _today(request)
    try:
        rate, plan = _number("rate", form.rate, float), _plan(form)
        async with house_of(request).database.begin() as conn:
            await save_sender(conn, form.name, rate=rate, warm_up=plan, today=today, by=viewer_of(request).name)
            await overview.wake(conn)
    except Invalid as error:
        return _sender_page(request, form, errors=_errors(error))
    return redirect(request, "sending", flash=_("Saved. It counts within seconds."))


async def domain(request: Request) -> Response:
    """The form of a recipient domain."""
    name = request.query_params.get("name", "")[:LONGEST]
    async with house_of(request).database.connect() as conn:
        found = await overview.domain(conn, name.lower())
    rate = "" if found.rate is None else f"{found.rate:g}"
    connections = str(found.connections or "") if found.settled else ""
    return _domain_page(request, DomainForm(name, rate, connections), known=found.settled)


async def domain_save(request: Request) -> Response:
    form = DomainForm(**await _fields(request, DomainForm))
    try:
        rate, connections = _number("rate", form.rate, float), _number("connections", form.connections, int)
        async with house_of(request).database.begin() as conn:
            await save_domain(conn, form.name, rate=rate, connections=connections, by=viewer_of(request).name)
            await overview.wake(conn)
    except Invalid as error:
        return _domain_page(request, form, errors=_errors(error))
    return redirect(request, "sending", flash=_("Saved. It counts within seconds."))


async def sender_remove(request: Request) -> Response:
    return await _remove(request, Of.SENDER)


async def domain_remove(request: Request) -> Response:
    return await _remove(request, Of.DOMAIN)


async def domain_release(request: Request) -> Response:
    name = str((await request.form()).get("name", ""))
    async with house_of(request).database.begin() as conn:
        back = await release(conn, name, now=utc_now())
    flash = _("%(name)s is written to again.", name=name)
    waited = ngettext("%(num)s message that waited goes on.", "%(num)s messages that waited go on.", back)
    return redirect(request, "sending", flash=f"{flash} {waited}" if back else flash)


async def thresholds(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await load_thresholds(conn)
    typed = {name: "" if value is None else f"{value:g}" for name, value in vars(found).items()}
    return _threshold_page(request, ThresholdForm(**typed))


async def thresholds_save(request: Request) -> Response:
    form = ThresholdForm(**await _fields(request, ThresholdForm))
    try:
        given: dict[str, Any] = {name: _number(name, value, float) for name, value in vars(form).items()}
        given["minimum"] = _number("minimum", form.minimum, int) or Thresholds.minimum
        async with house_of(request).database.begin() as conn:
            await save_thresholds(conn, given)
    except Invalid as error:
        return _threshold_page(request, form, errors=_errors(error))
    return redirect(request, "sending", flash=_("Saved."))


async def _remove(request: Request, of: Of) -> Response:
    async with house_of(request).database.begin() as conn:
        await _gone(conn, of, str((await request.form()).get("name", "")))
    return redirect(request, "sending", flash=_("Removed. The usual values count."))


async def _gone(conn: AsyncConnection, of: Of, name: str) -> None:
    await remove_limit(conn, of, name)
    await overview.wake(conn)


async def _fields(request: Request, shape: type) -> dict[str, str]:
    form = await request.form()
    return {name: str(form.get(name, "")).strip()[: LONGEST * 10] for name in shape.__dataclass_fields__}  # type: ignore[attr-defined]


def _plan(form: SenderForm) -> dict[str, Any] | None:
    """The warm-up plan as typed. Raises Invalid naming the field."""
    since = {"since": form.since} if form.since else {}
    if form.plan == "days":
        words = form.days.replace(",", " ").replace("，", " ").split()
        return {**since, "days": [_number("warm_up.days", word, int) for word in words]}
    if form.plan == "factor":
        numbers = {
            "warm_up.first": _number("warm_up.first", form.first, int),
            "warm_up.factor": _number("warm_up.factor", form.factor, float),
            "warm_up.enough": _number("warm_up.enough", form.enough, int),
        }
        lacking = [Problem(name, "is missing") for name in numbers if numbers[name] is None]
        if lacking:
            raise Invalid(lacking)
        return {**since, **{name.removeprefix("warm_up."): value for name, value in numbers.items()}}
    return None


def _number(name: str, typed: str, kind: Callable[[str], Any]) -> Any:
    """What was typed as a number, None for nothing. Raises Invalid naming the field."""
    if not typed:
        return None
    try:
        return kind(typed.replace(",", "."))
    except ValueError:
        wanted = _("must be a whole number") if kind is int else _("must be a number")
        raise Invalid(Problem(name, wanted)) from None


def _typed(found: overview.SenderState) -> SenderForm:
    plan: Mapping[str, Any] = found.warm_up or {}
    return SenderForm(
        name=found.name,
        rate="" if found.rate is None else f"{found.rate:g}",
        plan="days" if "days" in plan else "factor" if plan else "",
        since=plan.get("since", ""),
        days=", ".join(str(day) for day in plan.get("days", ())),
        **{name: f"{plan[name]:g}" if name in plan else "" for name in ("first", "factor", "enough")},
    )


def _errors(error: Invalid) -> dict[str, str]:
    """By the form's own names: `warm_up.days[2]` is the field `days`."""
    return {one.path.removeprefix("warm_up.").partition("[")[0]: one.message for one in error.problems}


def _today(request: Request) -> date:
    return local_date(utc_now(), house_of(request).settings.timezone)


def _sender_page(
    request: Request, form: SenderForm, *, known: bool = False, errors: Mapping[str, str] | None = None
) -> Response:
    plans = [(key, _(text)) for key, text in PLANS.items()]
    status = 422 if errors else 200
    return page(request, "sending/sender.html", status=status, form=form, known=known, errors=errors or {}, plans=plans)


def _domain_page(
    request: Request, form: DomainForm, *, known: bool = False, errors: Mapping[str, str] | None = None
) -> Response:
    status = 422 if errors else 200
    return page(request, "sending/domain.html", status=status, form=form, known=known, errors=errors or {})


def _threshold_page(request: Request, form: ThresholdForm, *, errors: Mapping[str, str] | None = None) -> Response:
    return page(request, "sending/thresholds.html", status=422 if errors else 200, form=form, errors=errors or {})


ROUTES = [
    Route("/sending", show, "sending", READERS),
    Route("/sending/sender", sender, "sending_sender", MARKETERS),
    Route("/sending/sender", sender_save, "sending_sender_save", MARKETERS, methods=("POST",)),
    Route("/sending/sender/remove", sender_remove, "sending_sender_remove", MARKETERS, methods=("POST",)),
    Route("/sending/domain", domain, "sending_domain", MARKETERS),
    Route("/sending/domain", domain_save, "sending_domain_save", MARKETERS, methods=("POST",)),
    Route("/sending/domain/remove", domain_remove, "sending_domain_remove", MARKETERS, methods=("POST",)),
    Route("/sending/domain/release", domain_release, "sending_domain_release", MARKETERS, methods=("POST",)),
    Route("/sending/thresholds", thresholds, "sending_thresholds", MARKETERS),
    Route("/sending/thresholds", thresholds_save, "sending_thresholds_save", MARKETERS, methods=("POST",)),
]

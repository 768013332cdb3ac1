"""Suppressed addresses: a list that is searched, added to and lifted from; and what stands against one customer."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from starlette.requests import Request
from starlette.responses import Response

from customers.addresses import read_address
from customers.models import contact_addresses, suppressed_addresses
from customers.reading import get_customer
from customers.suppressions import SuppressedAddress, suppress_addresses, suppressed_address, suppressed_rows
from customers.values import Context
from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from runtime.registry import channel_kinds
from runtime.settings import Settings
from web.access import MARKETERS, READERS, Role, Route, house_of, viewer_of
from web.i18n import N_, _
from web.lifting import COMPLAINED, lift_of_address, lift_of_person
from web.listing import fetch_page, read_listing
from web.render import page, redirect
from web.vocabulary import field_label

SORTS = {"value": suppressed_addresses.c.value, "at": suppressed_addresses.c.at}
MANUAL = "manual"
LONGEST_NOTE = 500
STATES = {"": N_("In force"), "ended": N_("Ended")}


@dataclass(frozen=True)
class Form:
    """What is typed to suppress an address."""

    kind: str = ""
    value: str = ""
    detail: str = ""


async def listing(request: Request) -> Response:
    asked, ended = read_listing(request, tuple(SORTS), default="-at"), request.query_params.get("state") == "ended"
    held, row = contact_addresses.c, suppressed_addresses.c
    people = (
        select(func.count()).where(held.kind == row.kind, held.value == row.value).scalar_subquery().label("people")
    )
    statement = suppressed_rows(utc_now(), ended=ended).add_columns(people)
    if asked.q:
        statement = statement.where(row.value.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, row.kind + ":" + row.value)
    return page(
        request,
        "suppressed/list.html",
        partial="results",
        listing=asked,
        found=found,
        ended=ended,
        states={key: _(text) for key, text in STATES.items()},
        may_lift_complaints=viewer_of(request).role is Role.ADMIN,
        complained=COMPLAINED,
    )


async def new(request: Request) -> Response:
    return _form_page(request, Form(kind=next(iter(_kinds()), "")))


async def add(request: Request) -> Response:
    posted = await request.form()
    form = Form(*(str(posted.get(name, "")).strip() for name in ("kind", "value", "detail")))
    try:
        value = plain_address(form.kind, form.value, house_of(request).settings)
        async with house_of(request).database.begin() as conn:
            entry = SuppressedAddress(form.kind, value, MANUAL, utc_now(), detail=form.detail[:LONGEST_NOTE] or None)
            if await suppressed_address(conn, form.kind, value, utc_now()) is None:
                await suppress_addresses(conn, [entry])
    except Invalid as error:
        return _form_page(request, form, {problem.path: problem.message for problem in error.problems})
    return redirect(request, "suppressed", flash=_("%(value)s is suppressed.", value=value))


async def lift_one(request: Request) -> Response:
    form = await request.form()
    kind, value, note = (str(form.get(name, "")) for name in ("kind", "value", "note"))
    async with house_of(request).database.begin() as conn:
        await lift_of_address(conn, viewer_of(request), kind, value, note, utc_now())
    flash = _("%(value)s may be written to again, where consent allows it.", value=value)
    if str(form.get("customer", "")).isdecimal():
        return redirect(request, "customer", id=int(str(form["customer"])), flash=flash)
    return redirect(request, "suppressed", flash=flash)


async def lift_for_customer(request: Request) -> Response:
    """End what stands against a person over a channel."""
    form = await request.form()
    channel, reason, note = (str(form.get(name, "")) for name in ("channel", "reason", "note"))
    async with house_of(request).database.begin() as conn:
        customer = await get_customer(conn, request.path_params["id"])
        await lift_of_person(conn, viewer_of(request), customer["id"], channel, reason or None, note, utc_now())
    return redirect(request, "customer", id=customer["id"], flash=_("The suppression is lifted."))


def plain_address(kind: str, value: str, settings: Settings) -> str:
    """The plain form of what was typed. Raises Invalid naming the field."""
    if kind not in _kinds():
        raise Invalid(Problem("kind", f"unknown kind of address {kind!r}; there are: {', '.join(_kinds())}"))
    try:
        found = read_address(kind, value, Context(settings.zone, settings.country))
    except ValueError as error:
        raise Invalid(Problem("value", str(error))) from None
    if not found:
        raise Invalid(Problem("value", "is missing"))
    return found


def _kinds() -> list[str]:
    """The kinds of address that the registered channels write to."""
    return list(dict.fromkeys(kind.address_kind for kind in channel_kinds().values()))


def _form_page(request: Request, form: Form, errors: dict[str, str] | None = None) -> Response:
    kinds = [(kind, field_label(kind)) for kind in _kinds()]
    return page(
        request, "suppressed/form.html", status=422 if errors else 200, form=form, errors=errors or {}, kinds=kinds
    )


ROUTES = [
    Route("/suppressed", listing, "suppressed", READERS),
    Route("/suppressed/new", new, "suppressed_new", MARKETERS),
    Route("/suppressed/new", add, "suppressed_add", MARKETERS, methods=("POST",)),
    Route("/suppressed/lift", lift_one, "suppressed_lift", MARKETERS, methods=("POST",)),
    Route("/customers/{id:int}/lift", lift_for_customer, "customer_lift", MARKETERS, methods=("POST",)),
]

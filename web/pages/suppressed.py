"""Suppressions: addresses and domains, a list that is searched, added to, lifted from and exchanged as CSV; people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Text, cast, func, or_, select
from starlette.requests import Request
from starlette.responses import Response

from customers.imports.encodings import detect_encoding
from customers.models import contact_addresses, customers, suppressed_addresses, suppressions
from customers.moments import read_date
from customers.reading import get_customer
from customers.suppression_lists import COLUMNS, MANUAL, Fault, add_list, plain_value, read_list
from customers.suppressions import (
    DOMAIN,
    SuppressedAddress,
    Suppression,
    in_force,
    suppress,
    suppress_addresses,
    suppressed_address,
    suppressed_rows,
)
from customers.values import Context
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Problem
from runtime.registry import channel_kinds
from runtime.settings import Settings
from runtime.text import fold
from web.access import MARKETERS, MIB, READERS, Role, Route, house_of, viewer_of
from web.downloads import rows_csv
from web.i18n import N_, _
from web.lifting import COMPLAINED, lift_of_address, lift_of_person
from web.listing import COLON, fetch_page, read_listing
from web.render import page, redirect
from web.vocabulary import channel_label, field_label

SORTS = {name: suppressed_addresses.c[name] for name in ("value", "reason", "at", "expires_at")}
PEOPLE_SORTS = {name: suppressions.c[name] for name in ("channel", "reason", "at", "expires_at")}
KEY = suppressed_addresses.c.kind + COLON + suppressed_addresses.c.value
PEOPLE_KEY = cast(suppressions.c.customer_id, Text) + COLON + suppressions.c.channel + COLON + suppressions.c.reason
PEOPLE = "people"
LARGEST_FILE = 8 * MIB
FAULTS_SHOWN = 20
LONGEST_NOTE = 500
LONGEST_NUMBER = 18  # digits of a customer's
STATES = {"": N_("In force"), "ended": N_("Ended"), PEOPLE: N_("People")}


@dataclass(frozen=True)
class Form:
    """What is typed to suppress an address."""

    kind: str = ""
    value: str = ""
    detail: str = ""
    expires: str = ""


async def listing(request: Request) -> Response:
    if request.query_params.get("state") == PEOPLE:
        return await people(request)
    asked, ended = read_listing(request, tuple(SORTS), default="-at"), request.query_params.get("state") == "ended"
    held, row = contact_addresses.c, suppressed_addresses.c
    held_by = (
        select(func.count()).where(held.kind == row.kind, held.value == row.value).scalar_subquery().label("people")
    )
    statement = suppressed_rows(utc_now(), ended=ended).add_columns(held_by)
    if asked.q:
        statement = statement.where(row.value.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, SORTS, KEY)
    return page(
        request,
        "suppressed/list.html",
        partial="results",
        listing=asked,
        found=found,
        ended=ended,
        state="ended" if ended else "",
        states={key: _(text) for key, text in STATES.items()},
        domain=DOMAIN,
        may_lift_complaints=viewer_of(request).role is Role.ADMIN,
        complained=COMPLAINED,
    )


async def people(request: Request) -> Response:
    """Who is not written to over a channel, whatever their address."""
    asked, now = read_listing(request, tuple(PEOPLE_SORTS), default="-at"), utc_now()
    row = suppressions.c
    statement = (
        select(suppressions, customers.c.name, customers.c.email)
        .join(customers, customers.c.id == row.customer_id)
        .where(in_force(suppressions, now))
    )
    if asked.q:
        like = [
            column.contains(fold(asked.q), autoescape=True) for column in (customers.c.name_folded, customers.c.email)
        ]
        statement = statement.where(or_(*like))
    async with house_of(request).database.connect() as conn:
        found = await fetch_page(conn, statement, asked, PEOPLE_SORTS, PEOPLE_KEY)
    return page(
        request,
        "suppressed/people.html",
        partial="results",
        listing=asked,
        found=found,
        state=PEOPLE,
        states={name: _(text) for name, text in STATES.items()},
        may_lift_complaints=viewer_of(request).role is Role.ADMIN,
        complained=COMPLAINED,
    )


async def download(request: Request) -> Response:
    """All that is in force, as `take_file` reads it."""

    def line(row: Any) -> list[str]:
        expires = row.expires_at.isoformat() if row.expires_at else ""
        return [row.kind, row.value, row.reason, expires, row.detail or ""]

    row = suppressed_addresses.c
    statement = suppressed_rows(utc_now()).order_by(row.kind, row.value)
    return await rows_csv(house_of(request).database, COLUMNS, statement, line, "suppressions.csv")


async def take_file(request: Request) -> Response:
    """Suppress what a file lists; what is suppressed already stays as it is."""
    posted = await request.form()
    given, house, now = posted.get("file"), house_of(request), utc_now()
    if given is None or isinstance(given, str) or not given.filename:
        return _form_page(request, Form(kind=next(iter(_kinds()), "")), {"file": _("Choose a file.")})
    context = Context(house.settings.zone, house.settings.country)
    raw = await given.read()
    try:
        entries, faults = await asyncio.to_thread(_read_file, given.filename, raw, context, now)
    except Invalid as error:
        return _form_page(request, Form(), {"file": "; ".join(problem.message for problem in error.problems)})
    async with house.database.begin() as conn:
        added = await add_list(conn, entries, now)
    return page(
        request,
        "suppressed/taken.html",
        added=added,
        known=len(entries) - added,
        faults=faults[:FAULTS_SHOWN],
        refused=len(faults),
    )


async def new(request: Request) -> Response:
    return _form_page(request, Form(kind=next(iter(_kinds()), "")))


async def add(request: Request) -> Response:
    posted = await request.form()
    form = Form(*(str(posted.get(name, "")).strip() for name in ("kind", "value", "detail", "expires")))
    settings = house_of(request).settings
    try:
        value = plain_address(form.kind, form.value, settings)
        expires = last_instant(form.expires, settings, utc_now())
        async with house_of(request).database.begin() as conn:
            note = form.detail[:LONGEST_NOTE] or None
            entry = SuppressedAddress(form.kind, value, MANUAL, utc_now(), expires_at=expires, detail=note)
            if await suppressed_address(conn, form.kind, value, utc_now()) is None:
                await suppress_addresses(conn, [entry])
    except Invalid as error:
        return _form_page(request, form, {problem.path: problem.message for problem in error.problems})
    return redirect(request, "suppressed", flash=_("%(value)s is suppressed.", value=value))


async def add_person(request: Request) -> Response:
    """Suppress a customer, over one channel."""
    posted = await request.form()
    number, channel, day, note = (str(posted.get(name, "")).strip() for name in ("number", "channel", "until", "why"))
    now = utc_now()
    try:
        if channel not in channel_kinds():
            raise Invalid(Problem("channel", _("There is no channel %(channel)s.", channel=channel)))
        if not number.isdecimal() or len(number) > LONGEST_NUMBER:
            raise Invalid(Problem("number", _("must be a customer's number, as in the address of their page")))
        expires = last_instant(day, house_of(request).settings, now, "until")
        async with house_of(request).database.begin() as conn:
            customer = await get_customer(conn, int(number))
            detail = note[:LONGEST_NOTE] or None
            await suppress(conn, [Suppression(customer["id"], channel, MANUAL, now, expires_at=expires, detail=detail)])
    except (Invalid, NotFound) as error:
        problems = error.problems if isinstance(error, Invalid) else [Problem("number", str(error))]
        return _form_page(request, Form(), {problem.path: problem.message for problem in problems})
    return redirect(request, "suppressed", state=PEOPLE, flash=_("They are not written to any more."))


async def lift_one(request: Request) -> Response:
    form = await request.form()
    kind, value, note = (str(form.get(name, "")) for name in ("kind", "value", "note"))
    if str(form.get("confirm", "")).strip() != value:
        raise Invalid(_("Nothing was lifted: the name that was typed is another."))
    async with house_of(request).database.begin() as conn:
        await lift_of_address(conn, viewer_of(request), kind, value, note, utc_now())
    flash = _("%(value)s may be written to again, where consent allows it.", value=value)
    customer = str(form.get("customer", ""))
    if customer.isdecimal() and len(customer) <= LONGEST_NUMBER:
        return redirect(request, "customer", id=int(customer), flash=flash)
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
    return plain_value(kind, value, _kinds(), Context(settings.zone, settings.country))


def last_instant(day: str, settings: Settings, now: datetime, field: str = "expires") -> datetime | None:
    """The end of the day that was typed, on the workspace's clock; None: none was. Raises Invalid."""
    try:
        found = read_date(day, Context(settings.zone, settings.country))
    except ValueError as error:
        raise Invalid(Problem(field, str(error))) from None
    if found is None:
        return None
    ends = datetime.combine(found + timedelta(days=1), time(), settings.zone)
    if ends <= now:
        raise Invalid(Problem(field, _("is over already")))
    return ends


def _read_file(name: str, raw: bytes, context: Context, now: datetime) -> tuple[list[SuppressedAddress], list[Fault]]:
    """`read_list` of a file in whatever encoding it has. Raises Invalid."""
    text = raw.decode(detect_encoding(name, lambda: [raw]), errors="replace")
    return read_list(text, _kinds(), context, now)


def _kinds() -> list[str]:
    """The kinds of address that the registered channels write to."""
    return list(dict.fromkeys(kind.address_kind for kind in channel_kinds().values()))


def _form_page(request: Request, form: Form, errors: dict[str, str] | None = None) -> Response:
    kinds = [*((kind, field_label(kind)) for kind in _kinds()), (DOMAIN, _("Domain"))]
    return page(
        request,
        "suppressed/form.html",
        status=422 if errors else 200,
        form=form,
        errors=errors or {},
        kinds=kinds,
        channels=[(name, channel_label(name)) for name in channel_kinds()],
    )


ROUTES = [
    Route("/suppressed", listing, "suppressed", READERS),
    Route("/suppressed/new", new, "suppressed_new", MARKETERS),
    Route("/suppressed/new", add, "suppressed_add", MARKETERS, methods=("POST",)),
    Route("/suppressed/person", add_person, "suppressed_person", MARKETERS, methods=("POST",)),
    Route("/suppressed/export", download, "suppressed_export", MARKETERS),
    Route("/suppressed/import", take_file, "suppressed_import", MARKETERS, methods=("POST",), limit=LARGEST_FILE),
    Route("/suppressed/lift", lift_one, "suppressed_lift", MARKETERS, methods=("POST",)),
    Route("/customers/{id:int}/lift", lift_for_customer, "customer_lift", MARKETERS, methods=("POST",)),
]

"""Two records of one person: found, laid side by side, merged by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from customers.bulk import among
from customers.comparing import Comparison, alike, compare
from customers.duplicates import NAME, duplicate_groups, people_in
from customers.merging import merge
from customers.models import communities, customers, dealers, salespeople
from customers.reading import Search, find_customers, get_customer
from runtime.clock import utc_now
from runtime.errors import Invalid
from segments.speed import full_speed
from segments.vocabulary import RECORDS
from web.access import MARKETERS, READERS, Route, house_of
from web.i18n import _, current_language
from web.listing import fetch_page, read_listing
from web.names import names_of
from web.render import page, redirect
from web.view import day
from web.vocabulary import field_label
from web.words import gender_name

SHOWN = 20
FIELDS = ("external_id", "name", "email", "phone", "gender", "birthday", "city", "district", "community", "address",
          "household_size", "salesperson", "dealer", "platform", "language")  # fmt: skip
CODED = {"community": communities, "dealer": dealers, "salesperson": salespeople}


async def choose(request: Request) -> Response:
    """With whom a customer is to be merged: those who look alike first, any other by search."""
    asked = read_listing(request, ("id",), default="id", limit=SHOWN)
    house = house_of(request)
    async with house.database.connect() as conn:
        customer = await get_customer(conn, request.path_params["id"])
        own = customers.c
        columns = (own.id, own.external_id, own.name, own.city, own.address, own.email, own.phone)
        if asked.q:
            statement = find_customers(Search(q=asked.q), house.settings, *columns).where(own.id != customer["id"])
            found = (await conn.execute(statement.order_by(own.id).limit(SHOWN))).all()
        else:
            ids = await alike(conn, customer["id"])
            rows = {row.id: row for row in await conn.execute(select(*columns).where(among(own.id, ids)))}
            found = [rows[number] for number in ids if number in rows]
    return page(
        request, "merging/choose.html", partial="results", listing=asked, customer=customer, found=found,
        called=called(customer),
    )  # fmt: skip


async def show(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        found = await _compared(request, conn)
        rows = await _rows(conn, found)
    return page(
        request,
        "merging/compare.html",
        found=found,
        rows=rows,
        counts=[(_records(name), pair) for name, pair in found.counts.items() if any(pair)],
        moved=", ".join(f"{pair[1]} {_records(name)}" for name, pair in found.counts.items() if pair[1]),
        gained=[field_label(name) for name in found.gained],
        forgotten=", ".join(f"{field_label(one.field)} {one.lost}" for one in found.differences if one.forgotten),
        kept_name=called(found.keep),
        lost_name=called(found.lose),
    )


async def do(request: Request) -> Response:
    confirmed = str((await request.form()).get("confirm", "")).strip()
    async with house_of(request).database.begin() as conn:
        found = await _compared(request, conn)
        if confirmed != called(found.lose):
            raise Invalid(_("Nothing was merged: the name that was typed is another."))
        await merge(conn, found.keep["id"], found.lose["id"], now=utc_now())
    flash = _("%(lost)s is merged into this customer.", lost=called(found.lose))
    return redirect(request, "customer", id=found.keep["id"], flash=flash)


async def duplicates(request: Request) -> Response:
    """Customers who share what only one person has, or so one may think."""
    namesakes = request.query_params.get("by") != "contact"
    groups = duplicate_groups(namesakes=namesakes)
    sorts = {"people": groups.c.people}
    asked = read_listing(request, tuple(sorts), default="-people")
    statement = select(groups)
    if asked.q:
        statement = statement.where(groups.c.value.icontains(asked.q, autoescape=True))
    async with house_of(request).database.connect() as conn:
        await full_speed(conn)
        found = await fetch_page(conn, statement, asked, sorts, groups.c.key)
        people = await people_in(conn, found.rows)
    return page(
        request, "merging/duplicates.html", partial="results", listing=asked, found=found, people=people,
        namesakes=namesakes,
        shared={NAME: _("Home")},
    )  # fmt: skip


async def _compared(request: Request, conn: AsyncConnection) -> Comparison:
    return await compare(conn, request.path_params["id"], request.path_params["lose"])


async def _rows(conn: AsyncConnection, found: Comparison) -> list[tuple[str, str | None, str | None, bool]]:
    """Field, both values as people say them, whether they speak against each other; what neither has is left out."""
    names = {name: await names_of(conn, table, (found.keep[name], found.lose[name])) for name, table in CODED.items()}
    told = {one.field for one in found.differences}
    both = [(field_label(name), name, found.keep[name], found.lose[name]) for name in FIELDS]
    keys = dict.fromkeys([*found.keep["attributes"], *found.lose["attributes"]])
    both += [(key, key, found.keep["attributes"].get(key), found.lose["attributes"].get(key)) for key in keys]
    return [
        (label, _said(name, kept, names), _said(name, lost, names), name in told)
        for label, name, kept, lost in both
        if kept is not None or lost is not None
    ]


def _said(name: str, value: Any, names: Mapping[str, Mapping[str, str]]) -> str | None:
    if value is None:
        return None
    if isinstance(value, date):
        return day(value)
    return gender_name(value) if name == "gender" else names.get(name, {}).get(str(value), str(value))


def called(customer: Mapping[str, Any]) -> str:
    """What a customer is called, as the page asks to have it typed."""
    return str(customer["name"] or customer["external_id"] or customer["id"]).strip()


def _records(name: str) -> str:
    _one, several, chinese = RECORDS[name]
    return chinese if current_language() == "zh" else several


ROUTES = [
    Route("/customers/duplicates", duplicates, "duplicates", READERS),
    Route("/customers/{id:int}/merge", choose, "customer_merge", MARKETERS),
    Route("/customers/{id:int}/merge/{lose:int}", show, "customer_compare", MARKETERS),
    Route("/customers/{id:int}/merge/{lose:int}", do, "customer_merge_now", MARKETERS, methods=("POST",)),
]

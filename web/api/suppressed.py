"""Suppressed addresses and domains, one or many: read, added, lifted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Text, cast, select

from customers.models import suppressed_addresses, suppressions
from customers.moments import read_instant
from customers.reading import get_customer
from customers.suppression_lists import MANUAL, add_list
from customers.suppressions import (
    SuppressedAddress,
    Suppression,
    in_force,
    suppress,
    suppressed_address,
    suppressed_rows,
)
from customers.values import Context
from runtime.errors import Invalid, Problem
from runtime.registry import channel_kinds
from web.access import READERS, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.lifting import lift_of_address
from web.listing import fetch_page, read_listing
from web.pages.suppressed import SORTS, plain_address

ROUTES: list[Route] = []


class Suppressed(BaseModel):
    kind: str
    value: str
    reason: str
    at: datetime
    expires_at: datetime | None
    detail: str | None


class SuppressedIn(Body):
    kind: str = Field(description="the kind of address: email, phone …; domain for each address of a domain")
    value: str
    expires_at: AwareDatetime | None = Field(None, description="until then; without it until lifted")
    detail: str | None = Field(None, max_length=500)


class ListIn(Body):
    items: list[SuppressedIn] = Field(min_length=1, max_length=10_000)


class ListDone(BaseModel):
    added: int
    unchanged: int = Field(description="those that were suppressed already")


class PersonIn(Body):
    channel: str
    expires_at: AwareDatetime | None = Field(None, description="until then; without it until lifted")
    detail: str | None = Field(None, max_length=500)


class SuppressedPerson(BaseModel):
    customer_id: int
    channel: str
    reason: str
    address: str | None = Field(description="where it is about one address of theirs")
    at: datetime
    expires_at: datetime | None
    detail: str | None


class LiftIn(Body):
    kind: str
    value: str
    note: str = Field(min_length=1, description="why it is lifted")


@call(ROUTES, "GET", "/suppressed-addresses", name="list_suppressed", answer=Page[Suppressed], allow=READERS,
      query={**PAGE_QUERY, "q": "part of the address", "kind": "only of this kind", "ended": "1: those that ended",
             "sort": "value, reason, at or expires_at, with - the other way round"})  # fmt: skip
async def listing(ask: Ask) -> Any:
    """Addresses at which nobody may be contacted, the latest first."""
    row = suppressed_addresses.c
    asked = read_listing(ask.request, tuple(SORTS), default="-at", limit=100)
    statement = suppressed_rows(ask.now, ended=ask.query("ended") == "1")
    if asked.q:
        statement = statement.where(row.value.icontains(asked.q, autoescape=True))
    if kind := ask.query("kind"):
        statement = statement.where(row.kind == kind)
    found = await fetch_page(ask.conn, statement, asked, SORTS, row.kind + ":" + row.value)
    return paged(found.rows, found.next, lambda one: one)


@call(ROUTES, "POST", "/suppressed-addresses", name="suppress_address", body=SuppressedIn, answer=Suppressed,
      status=201)  # fmt: skip
async def add(ask: Ask) -> Any:
    """Let nobody be contacted at an address; one that is suppressed already stays as it is."""
    given: SuppressedIn = ask.body
    entry = _entry(given, ask)
    await add_list(ask.conn, [entry], ask.now)
    return await suppressed_address(ask.conn, entry.kind, entry.value, ask.now)


@call(ROUTES, "POST", "/suppressed-addresses/list", name="suppress_list", body=ListIn, answer=ListDone)
async def add_many(ask: Ask) -> Any:
    """Let nobody be contacted at any of up to 10,000 addresses and domains; all are taken or none."""
    given: ListIn = ask.body
    entries, problems = [], []
    for place, item in enumerate(given.items):
        try:
            entries.append(_entry(item, ask))
        except Invalid as error:
            problems += [Problem(f"items[{place}].{one.path}", one.message) for one in error.problems]
    if problems:
        raise Invalid(problems)
    added = await add_list(ask.conn, entries, ask.now)
    return {"added": added, "unchanged": len(entries) - added}


@call(ROUTES, "POST", "/customers/{id:int}/suppress", name="suppress_customer", body=PersonIn, status=204)
async def add_person(ask: Ask) -> None:
    """Let a customer not be contacted over a channel, whatever their address; lifted as any other suppression."""
    given: PersonIn = ask.body
    if given.channel not in channel_kinds():
        known = ", ".join(sorted(channel_kinds()))
        raise Invalid(Problem("channel", f"unknown channel {given.channel!r}; there are: {known}"))
    expires = _expiry(given.expires_at, ask)
    found = await get_customer(ask.conn, ask.id)
    entry = Suppression(found["id"], given.channel, MANUAL, ask.now, expires_at=expires, detail=given.detail)
    await suppress(ask.conn, [entry])


@call(ROUTES, "GET", "/suppressed-people", name="list_suppressed_people", answer=Page[SuppressedPerson], allow=READERS,
      query=PAGE_QUERY)  # fmt: skip
async def people(ask: Ask) -> Any:
    """Customers who are not contacted over a channel whatever their address, the latest first."""
    row = suppressions.c
    asked = read_listing(ask.request, ("at",), default="-at", limit=100)
    key = cast(row.customer_id, Text) + ":" + row.channel + ":" + row.reason
    statement = select(suppressions).where(in_force(suppressions, ask.now))
    found = await fetch_page(ask.conn, statement, asked, {"at": row.at}, key)
    return paged(found.rows, found.next, lambda one: one)


@call(ROUTES, "POST", "/suppressed-addresses/lift", name="lift_address", body=LiftIn, status=204)
async def lift(ask: Ask) -> None:
    """End the suppression of an address; a complaint takes an administrator's token."""
    given: LiftIn = ask.body
    value = plain_address(given.kind, given.value, ask.house.settings)
    await lift_of_address(ask.conn, ask.viewer, given.kind, value, given.note, ask.now)


def _entry(given: SuppressedIn, ask: Ask) -> SuppressedAddress:
    value = plain_address(given.kind, given.value, ask.house.settings)
    return SuppressedAddress(given.kind, value, MANUAL, ask.now, _expiry(given.expires_at, ask), given.detail)


def _expiry(given: datetime | None, ask: Ask) -> datetime | None:
    """In UTC. Raises Invalid for what is over, or further away than any clock of ours can tell."""
    try:
        found = read_instant(given, Context(ask.house.settings.zone, ask.house.settings.country))
    except ValueError as error:
        raise Invalid(Problem("expires_at", str(error))) from None
    if found is not None and found <= ask.now:
        raise Invalid(Problem("expires_at", "is over already"))
    return found

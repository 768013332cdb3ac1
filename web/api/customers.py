"""Customers one by one: found, read, changed, forgotten, their consents and timeline."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from customers.consents import record_consent
from customers.erasing import erase
from customers.merging import held, merge
from customers.reading import Search, get_customer, list_customers
from customers.results import Consent
from customers.timeline import Looked, timeline
from customers.upsert import upsert
from runtime.errors import Conflict, Invalid, Problem
from runtime.registry import channel_kinds
from web.access import KEEPERS, SIGNED_IN, Route
from web.api.contract import Ask, Body, Id, call
from web.api.shapes import PAGE_QUERY, Page
from web.exports import export_of
from web.lifting import lift_of_person
from web.listing import read_listing

ROUTES: list[Route] = []


class Identity(BaseModel):
    kind: str
    value: str


class Address(BaseModel):
    kind: str
    value: str
    is_primary: bool


class StandingConsent(BaseModel):
    channel: str
    purpose: str
    granted: bool
    source: str | None
    at: datetime


class Appliance(BaseModel):
    number: str
    serial: str | None
    category: str | None
    brand: str | None
    model: str | None
    source: str | None
    status: str
    power_watts: Decimal | None
    repairs_count: int
    purchased_on: date | None
    installed_on: date | None
    warranty_until: date | None
    expires_on: date | None
    next_consumable_due_on: date | None


class Activity(BaseModel):
    last_contacted_at: datetime | None
    last_opened_at: datetime | None
    last_clicked_at: datetime | None
    last_replied_at: datetime | None
    engagement_score: Decimal | None
    orders_count: int
    total_spent: Decimal
    average_order_value: Decimal | None
    gross_margin: Decimal | None
    first_order_at: datetime | None
    last_order_at: datetime | None
    order_gap_days: Decimal | None
    next_order_expected_at: datetime | None
    chance_active: Decimal | None
    orders_expected: Decimal | None
    last_rating: int | None
    last_rated_at: datetime | None
    nps_group: str | None
    rfm_recency: int | None
    rfm_frequency: int | None
    rfm_monetary: int | None


class Customer(BaseModel):
    id: int
    external_id: str | None
    name: str | None
    email: str | None
    phone: str | None
    gender: str | None
    city: str | None
    district: str | None
    address: str | None
    community: str | None
    platform: str | None
    language: str | None
    timezone: str | None
    birthday: date | None
    household_size: int | None
    dealer: str | None
    salesperson: str | None
    tags: list[str]
    attributes: dict[str, Any]
    identities: list[Identity]
    addresses: list[Address]
    consents: list[StandingConsent]
    appliances: list[Appliance]
    activity: Activity
    created_at: datetime
    updated_at: datetime


class Entry(BaseModel):
    at: datetime
    kind: str
    channel: str | None
    campaign: str | None
    data: dict[str, Any]


class ConsentIn(Body):
    channel: str
    purpose: str = "marketing"
    granted: bool
    source: str = Field(min_length=1)
    text_version: str | None = None


class MergeIn(Body):
    lose: Id = Field(description="the customer that goes into this one")


class LiftIn(Body):
    channel: str
    reason: str | None = Field(None, description="one reason only; without it whatever stands against the channel")
    note: str = Field(min_length=1, description="why it is lifted")


FIND = {
    "external_id": "the firm's own number",
    "email": "an address that is theirs",
    "phone": "a number that reaches them",
    "q": "part of a name or address, or a whole number",
    **PAGE_QUERY,
}


@call(ROUTES, "GET", "/customers", name="list_customers", answer=Page[Customer], allow=SIGNED_IN, query=FIND)
async def listing(ask: Ask) -> Any:
    """Find customers; all that is given must hold."""
    wanted = {name: ask.query(name) for name in ("external_id", "email", "phone", "q")}
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    search = Search(**wanted, salesperson=ask.salesperson)
    return await list_customers(ask.conn, search, settings=ask.house.settings, cursor=asked.cursor, limit=asked.limit)


@call(ROUTES, "GET", "/customers/{id:int}", name="get_customer", answer=Customer, allow=SIGNED_IN)
async def show(ask: Ask) -> Any:
    """One customer, whole."""
    return await get_customer(ask.conn, ask.id, salesperson=ask.salesperson)


@call(ROUTES, "PATCH", "/customers/{id:int}", name="change_customer", body=dict[str, Any], answer=Customer)
async def change(ask: Ask) -> Any:
    """Change what is given of a customer."""
    before = await get_customer(ask.conn, ask.id)
    record = {**ask.body, "id": before["id"]}
    result = await upsert(ask.conn, "customers", [record], settings=ask.house.settings, now=ask.now)
    if result.rejected:
        raise Invalid(result.rejected[0].problems)
    if list(result.ids) != [before["id"]]:
        raise Conflict(f"this would change customer {result.ids[0]}, not {before['id']}")
    return await get_customer(ask.conn, ask.id)


@call(ROUTES, "DELETE", "/customers/{id:int}", name="erase_customer", status=204)
async def remove(ask: Ask) -> None:
    """Forget a customer: only a keyed hash stays, which keeps them from being imported again."""
    await erase(ask.conn, ask.id)


@call(ROUTES, "GET", "/customers/{id:int}/export", name="export_customer")
async def export(ask: Ask) -> Any:
    """Everything about a customer as a zip: everything.json and, to read, everything.html."""
    return await export_of(ask.request, ask.conn, ask.id)


@call(ROUTES, "POST", "/customers/{id:int}/merge", name="merge_customers", body=MergeIn, answer=Customer)
async def merge_with(ask: Ask) -> Any:
    """Move all that another customer has to this one; the other id leads here from now on."""
    await merge(ask.conn, ask.id, ask.body.lose, now=ask.now)
    return await get_customer(ask.conn, ask.id)


@call(ROUTES, "POST", "/customers/{id:int}/lift", name="lift_suppression", body=LiftIn, answer=Customer)
async def lift_from(ask: Ask) -> Any:
    """End what stands against a customer over a channel; a complaint takes an administrator's token."""
    given: LiftIn = ask.body
    found = await get_customer(ask.conn, ask.id)
    await lift_of_person(ask.conn, ask.viewer, found["id"], given.channel, given.reason, given.note, ask.now)
    return await get_customer(ask.conn, found["id"])


@call(
    ROUTES,
    "GET",
    "/customers/{id:int}/timeline",
    name="get_timeline",
    answer=Page[Entry],
    allow=SIGNED_IN,
    query={
        **PAGE_QUERY,
        "kind": "only these kinds, with commas between them",
        "channel": "only of this channel",
        "q": "only what says this somewhere",
    },
)
async def history(ask: Ask) -> Any:
    """What happened to a customer and what they did, newest first."""
    found = await get_customer(ask.conn, ask.id, salesperson=ask.salesperson)
    asked = read_listing(ask.request, ("id",), default="id", limit=100)
    given = ask.request.query_params
    kinds = frozenset(kind for kind in given.get("kind", "").replace("\0", "").split(",") if kind)
    looked = Looked(kinds, channel=given.get("channel", "").replace("\0", "") or None, q=asked.q)
    return await timeline(ask.conn, found["id"], looked, cursor=asked.cursor, limit=asked.limit)


@call(
    ROUTES,
    "POST",
    "/customers/{id:int}/consents",
    name="record_consent",
    body=ConsentIn,
    answer=Customer,
    status=201,
    allow=KEEPERS,
)
async def consent(ask: Ask) -> Any:
    """Add an entry to the consent ledger, of this moment."""
    given: ConsentIn = ask.body
    if given.channel not in channel_kinds():
        known = ", ".join(sorted(channel_kinds()))
        raise Invalid(Problem("channel", f"unknown channel {given.channel!r}; there are: {known}"))
    found = await get_customer(ask.conn, ask.id, salesperson=ask.salesperson)
    entry = Consent(**given.model_dump(), at=ask.now)
    await record_consent(ask.conn, await held(ask.conn, found["id"]), entry, now=ask.now, proof={"by": ask.viewer.name})
    return await get_customer(ask.conn, found["id"])

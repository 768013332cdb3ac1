"""Suppressed addresses: read, added, lifted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from customers.models import suppressed_addresses
from customers.suppressions import SuppressedAddress, suppress_addresses, suppressed_address, suppressed_rows
from web.access import READERS, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.lifting import lift_of_address
from web.listing import fetch_page, read_listing
from web.pages.suppressed import MANUAL, plain_address

ROUTES: list[Route] = []


class Suppressed(BaseModel):
    kind: str
    value: str
    reason: str
    at: datetime
    expires_at: datetime | None
    detail: str | None


class SuppressedIn(Body):
    kind: str = Field(description="the kind of address: email, phone …")
    value: str
    detail: str | None = Field(None, max_length=500)


class LiftIn(Body):
    kind: str
    value: str
    note: str = Field(min_length=1, description="why it is lifted")


@call(ROUTES, "GET", "/suppressed-addresses", name="list_suppressed", answer=Page[Suppressed], allow=READERS,
      query=PAGE_QUERY)  # fmt: skip
async def listing(ask: Ask) -> Any:
    """Addresses at which nobody may be contacted, the latest first."""
    row = suppressed_addresses.c
    asked = read_listing(ask.request, ("at",), default="-at", limit=100)
    found = await fetch_page(ask.conn, suppressed_rows(ask.now), asked, {"at": row.at}, row.kind + ":" + row.value)
    return paged(found.rows, found.next, lambda one: one)


@call(ROUTES, "POST", "/suppressed-addresses", name="suppress_address", body=SuppressedIn, answer=Suppressed,
      status=201)  # fmt: skip
async def add(ask: Ask) -> Any:
    """Let nobody be contacted at an address; one that is suppressed already stays as it is."""
    given: SuppressedIn = ask.body
    value = plain_address(given.kind, given.value, ask.house.settings)
    if await suppressed_address(ask.conn, given.kind, value, ask.now) is None:
        await suppress_addresses(ask.conn, [SuppressedAddress(given.kind, value, MANUAL, ask.now, detail=given.detail)])
    return await suppressed_address(ask.conn, given.kind, value, ask.now)


@call(ROUTES, "POST", "/suppressed-addresses/lift", name="lift_address", body=LiftIn, status=204)
async def lift(ask: Ask) -> None:
    """End the suppression of an address; a complaint takes an administrator's token."""
    given: LiftIn = ask.body
    value = plain_address(given.kind, given.value, ask.house.settings)
    await lift_of_address(ask.conn, ask.viewer, given.kind, value, given.note, ask.now)

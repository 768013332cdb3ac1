"""One door for records of every kind, used by the JSON API and by imports alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.appliances import upsert_appliances
from customers.coded import CODED, upsert_coded
from customers.orders import upsert_orders
from customers.people import upsert_customers
from customers.results import UpsertResult
from customers.visits import upsert_visits
from runtime.errors import Invalid
from runtime.settings import Settings


class Upsert(Protocol):
    """Takes a batch of plain records (as in API.md) into the database, within the caller's transaction."""

    async def __call__(
        self, conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime
    ) -> UpsertResult: ...


async def _coded(
    conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime, kind: str
) -> UpsertResult:
    return await upsert_coded(conn, CODED[kind], records, settings=settings, now=now)


UPSERTS: Mapping[str, Upsert] = {
    "customers": upsert_customers,
    "orders": upsert_orders,
    "appliances": upsert_appliances,
    "service_visits": upsert_visits,
    **{kind: partial(_coded, kind=kind) for kind in CODED},
}


async def upsert(
    conn: AsyncConnection, kind: str, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Take a batch of `kind` (`customers`, `orders`, `appliances`, `service_visits`, `salespeople`, `dealers`,
    `communities`, `products`) in; each record is accepted or rejected with all its problems. Some thousand records at
    most; a fixed number of statements whatever their number. Batches wait for each other until commit. Raises Invalid
    for an unknown kind."""
    if kind not in UPSERTS:
        raise Invalid(f"there are no records of kind {kind!r}; known kinds: {', '.join(UPSERTS)}")
    return await UPSERTS[kind](conn, records, settings=settings, now=now)

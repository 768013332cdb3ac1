"""Upsert of service visits: installations, repairs, maintenance, complaints."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.appliances import count_repairs
from customers.bulk import among
from customers.changes import note_changed
from customers.models import appliances, service_visits
from customers.owned import (
    Key,
    OwnedKind,
    load_rows,
    made_number,
    number_owners,
    refuse_foreign,
    settle_customers,
    write_rows,
)
from customers.results import Tally, UpsertResult
from customers.schemas import SERVICE_VISIT, clean
from customers.values import Context
from runtime.errors import Problem
from runtime.settings import Settings
from runtime.text import fold

VISITS = OwnedKind(
    "service visit",
    "service_visit",
    service_visits,
    (
        *("kind", "status", "provider", "requested_at", "visited_at", "completed_at"),
        *("satisfaction", "cost", "appliance_number", "note"),
    ),
)
_TIMES = ("requested_at", "visited_at", "completed_at")


async def upsert_visits(
    conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Create or update service visits by number (without one, by customer, kind, appliance and first time); then count
    each appliance's completed repairs."""
    tally = Tally()
    given = _read(records, Context(settings.zone, settings.country), tally)
    customers = await settle_customers(conn, records, given, tally, settings=settings, now=now)
    chosen = {index: given[index] for index in sorted(customers)}
    await _name_appliances(conn, chosen, customers)
    wanted = {
        index: (customers[index], values.pop("number", None) or made_number(_facts(values)))
        for index, values in chosen.items()
    }
    owners = await number_owners(conn, "service_visit", (number for _, number in wanted.values()))
    keys = await refuse_foreign(conn, VISITS, wanted, owners, tally)
    rows = await load_rows(conn, VISITS, keys.values())
    for index, key in keys.items():
        tally.accept(index, rows[key].take(chosen[index]))
    changed = [row for row in rows.values() if row.changed]
    await write_rows(conn, VISITS, changed, now)
    visited = {row.customer_id for row in changed}
    await count_repairs(conn, visited)
    await note_changed(conn, "service_visits", visited)
    return tally.result({index: customer for index, (customer, _) in keys.items()})


def _read(records: Sequence[Any], context: Context, tally: Tally) -> dict[int, dict[str, Any]]:
    given: dict[int, dict[str, Any]] = {}
    for index, record in enumerate(records):
        values, problems = clean(record, SERVICE_VISIT, context)
        if not problems and values.get("number") is None and not any(values.get(name) for name in _TIMES):
            problems.append(Problem("number", "is required where the visit has no time either"))
        if problems:
            tally.reject(index, *problems)
        else:
            given[index] = values
    return given


async def _name_appliances(
    conn: AsyncConnection, given: Mapping[int, dict[str, Any]], customers: Mapping[int, int]
) -> None:
    """Turn `appliance` (its number or serial) into `appliance_number`; one that is not known yet is kept as given."""
    words = {values["appliance"] for values in given.values() if values.get("appliance")}
    known = await _appliance_numbers(conn, set(customers.values()), words) if words else {}
    for index, values in given.items():
        if "appliance" in values:
            word = values.pop("appliance")
            values["appliance_number"] = known.get((customers[index], word), word)


async def _appliance_numbers(conn: AsyncConnection, people: Collection[int], words: Collection[str]) -> dict[Key, str]:
    table = appliances.c
    query = select(table.customer_id, table.number, table.serial).where(
        among(table.customer_id, people), or_(among(table.number, words), among(table.serial, words))
    )
    found: dict[Key, str] = {}
    for customer, number, serial in await conn.execute(query):
        found[customer, number] = number
        found.setdefault((customer, serial), number)
    return found


def _facts(values: Mapping[str, Any]) -> list[str | None]:
    """What tells a visit from the others of its household where it has no number."""
    first = next(str(values[name]) for name in _TIMES if values.get(name))
    return [fold(values.get("kind")), values.get("appliance_number"), first]

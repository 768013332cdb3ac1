"""Upsert of appliances: by own number, else by serial, else by what is known of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, put_new
from customers.changes import change_and_note, note_changed
from customers.models import appliances, record_numbers
from customers.owned import (
    Key,
    OwnedKind,
    Row,
    load_rows,
    made_number,
    number_owners,
    refuse_foreign,
    settle_customers,
    write_rows,
)
from customers.reference import category_words, refresh_expiry
from customers.results import Tally, UpsertResult
from customers.schemas import APPLIANCE, clean
from customers.values import Context
from runtime.errors import Problem
from runtime.settings import Settings
from runtime.text import fold

APPLIANCES = OwnedKind(
    "appliance",
    "appliance",
    appliances,
    (
        *("serial", "category", "brand", "model", "source", "status", "power_watts"),
        *("purchased_on", "installed_on", "warranty_until", "next_consumable_due_on", "order_number"),
    ),
)
_DATES = (("purchased_on", "installed_on"), ("purchased_on", "warranty_until"))
_COUNT_REPAIRS = """
    UPDATE appliances a SET repairs_count = counted.repairs
    FROM (
        SELECT a.customer_id, a.number, count(v.number)::int AS repairs
        FROM appliances a LEFT JOIN service_visits v ON v.customer_id = a.customer_id
            AND v.appliance_number = a.number AND v.kind_folded = 'repair' AND v.status_folded = 'completed'
        WHERE a.customer_id = ANY(CAST(:ids AS bigint[])) GROUP BY a.customer_id, a.number
    ) counted
    WHERE a.customer_id = counted.customer_id AND a.number = counted.number
        AND a.repairs_count <> counted.repairs
    RETURNING a.customer_id
"""


async def upsert_appliances(
    conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Create or update appliances. One without number and serial is known by its category, brand, model and dates."""
    tally = Tally()
    given = _read(records, Context(settings.zone, settings.country), tally, await category_words(conn))
    customers = await settle_customers(conn, records, given, tally, settings=settings, now=now)
    chosen = {index: given[index] for index in sorted(customers)}
    serials = await _serials(conn, chosen.values())
    wanted = _number(chosen, customers, serials, tally)
    owners = await number_owners(conn, "appliance", (number for _, number in wanted.values()))
    keys = await refuse_foreign(conn, APPLIANCES, wanted, owners, tally)
    rows = await load_rows(conn, APPLIANCES, keys.values())
    for index, key in keys.items():
        tally.accept(index, rows[key].take({"status": rows[key].values["status"] or "in_use"} | chosen[index]))
    changed = [row for row in rows.values() if row.changed]
    await write_rows(conn, APPLIANCES, changed, now)
    await _register_serials(conn, changed)
    await refresh_expiry(conn, {row.key for row in changed})
    await count_repairs(conn, {row.customer_id for row in changed if row.new})
    await note_changed(conn, "appliances", {row.customer_id for row in changed})
    return tally.result({index: customer for index, (customer, _) in keys.items()})


async def count_repairs(conn: AsyncConnection, customers: Collection[int]) -> None:
    """Recompute how often each appliance of these customers was repaired: completed repair visits."""
    if customers:
        await change_and_note(conn, "appliances", _COUNT_REPAIRS, {"ids": sorted(customers)})


def _read(
    records: Sequence[Any], context: Context, tally: Tally, words: Mapping[str, str]
) -> dict[int, dict[str, Any]]:
    given: dict[int, dict[str, Any]] = {}
    for index, record in enumerate(records):
        values, problems = clean(record, APPLIANCE, context)
        if values.get("category"):
            values["category"] = words.get(fold(values["category"]) or "", values["category"])
        if values.get("status", "") is None:
            del values["status"]
        problems += [
            Problem(later, f"is before {earlier}")
            for earlier, later in _DATES
            if values.get(earlier) and values.get(later) and values[later] < values[earlier]
        ]
        if not problems and not any(values.get(name) for name in ("number", "serial", "category", "model")):
            problems.append(
                Problem("", "says nothing to know the appliance by; give number, serial, category or model")
            )
        if problems:
            tally.reject(index, *problems)
        else:
            given[index] = values
    return given


def _number(
    given: Mapping[int, dict[str, Any]], customers: Mapping[int, int], serials: dict[str, Key], tally: Tally
) -> dict[int, Key]:
    """The key of each record. A serial that is known means its appliance; it cannot be another one's or another's."""
    keys: dict[int, Key] = {}
    for index, values in given.items():
        number, serial, customer = values.pop("number", None), values.get("serial"), customers[index]
        held = serials.get(serial or "")
        if held is not None and held[0] == customer and number in (None, held[1], serial):
            number = held[1]
        elif held is not None and (number is None or held != (customer, number)):
            tally.reject(index, Problem("serial", f"{serial!r} is the serial of another appliance ({held[1]!r})"))
            continue
        keys[index] = (customer, number or serial or made_number(_facts(values)))
        if serial:
            serials[serial] = keys[index]
    return keys


def _facts(values: Mapping[str, Any]) -> list[str | None]:
    """What tells an appliance from the others of its household where it has no number."""
    words = [fold(values.get(name)) for name in ("category", "brand", "model")]
    return [*words, *(str(values[name]) for name in ("purchased_on", "installed_on") if values.get(name))]


async def _serials(conn: AsyncConnection, given: Collection[Mapping[str, Any]]) -> dict[str, Key]:
    """Which appliance has each serial."""
    owners = await number_owners(conn, "serial", (values.get("serial") or "" for values in given))
    if not owners:
        return {}
    table = appliances.c
    query = select(table.serial, table.customer_id, table.number)
    rows = await conn.execute(query.where(among(table.customer_id, set(owners.values())), among(table.serial, owners)))
    return {serial: (customer, number) for serial, customer, number in rows}


async def _register_serials(conn: AsyncConnection, changed: Sequence[Row]) -> None:
    rows = [
        {"kind": "serial", "value": row.values["serial"], "customer_id": row.customer_id}
        for row in changed
        if row.values["serial"]
    ]
    await put_new(conn, record_numbers, rows)

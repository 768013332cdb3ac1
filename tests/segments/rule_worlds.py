"""Generated customers with all they have, and how the rows get into the database."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from math import log2
from random import Random
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers import models as records
from segments import models
from tests.segments.rule_fields import (
    ACTIVITY_INSTANTS,
    ACTIVITY_NUMBERS,
    ACTIVITY_WORDS,
    ATTRIBUTES,
    COLUMNS,
    RANKS,
    RAW,
    RECORD_COLUMNS,
)
from tests.segments.rule_reference import World, bucket_of, fold
from tests.segments.rule_values import Pools
from tracking import models as tracking

Person = dict[str, Any]

ADDRESSES = [
    {"kind": "email", "value": "a@example.com"},
    {"kind": "email", "value": "b@example.com"},
    {"kind": "phone", "value": "+8613800138000"},
]
_ACTIVITY = [*ACTIVITY_NUMBERS, *ACTIVITY_INSTANTS, *ACTIVITY_WORDS, *RANKS]
_TABLES = {
    "orders": records.orders,
    "order_items": records.order_items,
    "appliances": records.appliances,
    "service_visits": records.service_visits,
    "consents": records.standing_consents,
    "ratings": records.ratings,
    "messages": tracking.messages,
    "events": tracking.events,
}
_MISFITS: list[Any] = [5, "5", "", True, "true", [], ["gree"], "2024-02-29", "2024-02-29T10:00:00Z"]
"""Stored under an earlier definition of an attribute."""
_NO_DAYS = [
    "1900-02-29", "2023-02-29", "0000-01-01", "2024-2-9", "２０２４-02-28", "2024-06-31", "2000-02-29", "2024-13-01",
]  # fmt: skip
_NO_TIMES = [*(f"{day}T10:00:00+08:00" for day in _NO_DAYS), "2024-02-29T25:00:00Z", "2024-02-29T10:00:00"]


def people(rng: Random, world: World, count: int) -> tuple[list[Person], Pools]:
    """Customers with ids, some of them aliases of merged ones, and the values that rules about them may hold."""
    ids = [place * 7919 for place in range(1, count + 1)]
    pools = Pools(world, rng, [bucket_of(number) for number in ids])
    found = [_customer(rng, pools, number) for number in ids]
    found = [found[0], *(_merged(one, ids[0]) if rng.random() < 0.06 else one for one in found[1:])]
    held = ADDRESSES[0]
    world.suppressed_addresses = [
        {"kind": held["kind"], "address": held["value"], "expires_at": _expiry(rng, pools)}
        for _ in range(rng.randrange(2))
    ]
    world.attributes = {**ATTRIBUTES}
    return found, pools


def _customer(rng: Random, pools: Pools, number: int) -> Person:
    row: Person = {"id": number, "merged_into": None, **pools.row(rng, COLUMNS)}
    row["engagement_score"] = _until(row["engagement_score"], pools.now)
    row["attributes"] = stored_attributes(rng, pools)
    row["records"] = {
        source: [_record(rng, pools, number, index, fields) for index in range(rng.choice([0, 0, 1, 2, 3]))]
        for source, fields in RECORD_COLUMNS.items()
    }
    if rng.random() < 0.6:
        agreed = {"channel": "email", "purpose": "marketing", "granted": True}
        row["records"]["consents"].append({**pools.row(rng, RECORD_COLUMNS["consents"]), **agreed})
    standing = {(consent["channel"], consent["purpose"]): consent for consent in row["records"]["consents"]}
    row["records"]["consents"] = list(standing.values())
    for event in row["records"]["events"]:
        event["told"] = rng.random() < 0.6  # by others; else by a channel: raw facts
        event["attributes"] = stored_attributes(rng, pools) if event["told"] else _raw(rng, pools)
    row["addresses"] = rng.sample(ADDRESSES, rng.randrange(3))
    row["suppressions"] = [_suppression(rng, pools)] if rng.random() < 0.5 else []
    row["audiences"] = rng.choice([[], [1]])
    return row if rng.random() < 0.95 else without_row(row)


def _until(score: Decimal | None, now: datetime) -> datetime | None:
    """A score as it is stored: the instant at which it will have fallen to one point."""
    return now + timedelta(days=90) * log2(score) if score is not None and score > 0 else None


def _merged(one: Person, into: int) -> Person:
    """The customer as an alias of another: merging moves all that they have, but what the other has too stays."""
    left = {source: rows if source in ("messages", "events") else [] for source, rows in one["records"].items()}
    moved: Person = {"merged_into": into, "records": left, "addresses": [], "suppressions": [], "audiences": []}
    return {**without_row(one), **moved}


def _record(rng: Random, pools: Pools, number: int, index: int, fields: dict[str, str]) -> dict[str, Any]:
    row = pools.row(rng, fields)
    return {**row, "number": f"{number}-{index}"} if "number" in fields else row


def stored_attributes(rng: Random, pools: Pools) -> dict[str, Any]:
    """Custom attributes as they are stored: JSON values, now and then of another kind than the definition says."""
    found = {}
    for key, kind in ATTRIBUTES.items():
        value = pools.value(rng, key, kind)
        if value is not None:
            found[key] = _misfit(rng, kind, value) if rng.random() < 0.12 else _stored(value)
    return found


def _misfit(rng: Random, kind: str, value: Any) -> Any:
    """What does not fit the definition, or only just does."""
    nearly = {"date": _NO_DAYS, "instant": _NO_TIMES}.get(kind, [str(value), [str(value)]])
    return rng.choice(nearly if rng.random() < 0.7 else _MISFITS)


def _raw(rng: Random, pools: Pools) -> dict[str, Any]:
    return {RAW: rng.choice([*pools.values["code"], 5, True])} if rng.random() < 0.8 else {}


def _stored(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value.isoformat() if isinstance(value, date) else value


def _suppression(rng: Random, pools: Pools) -> dict[str, Any]:
    return {
        "channel": rng.choice(["email", "email", "sms"]),
        "address": rng.choice([None, "a@example.com", "b@example.com"]),
        "expires_at": _expiry(rng, pools),
    }


def _expiry(rng: Random, pools: Pools) -> datetime | None:
    return rng.choice([None, *pools.values["instant"][:3]])  # about now


def without_row(one: Person) -> Person:
    """The customer as one for whom no activity was ever kept."""
    return {**one, **dict.fromkeys(_ACTIVITY), "no_activity": True}


def with_items_of_their_orders(one: Person) -> Person:
    """As everybody's items are: each of an order, whose time it repeats, by which segments.crossing finds it."""
    held = one["records"]
    items = [
        {**item, "ordered_at": order["ordered_at"]}
        for item, order in zip(held["order_items"], held["orders"], strict=False)
    ]
    return {**one, "records": {**held, "order_items": items}}


async def keep(conn: AsyncConnection, found: list[Person], world: World) -> None:
    """Write the customers and all they have, the segments and the definitions."""
    await _insert(conn, records.customers, [_customer_row(one) for one in found])
    await _insert(conn, records.activity, [_activity_row(one) for one in found if not one.get("no_activity")])
    await _records(conn, found)
    await _insert(conn, records.contact_addresses, [_of(one, row) for one in found for row in one["addresses"]])
    suppressions = [_of(one, {**row, "reason": "bounced"}) for one in found for row in one["suppressions"]]
    await _insert(conn, records.suppressions, suppressions)
    addresses = [
        {"kind": row["kind"], "value": row["address"], "reason": "bounced", "expires_at": row["expires_at"]}
        for row in world.suppressed_addresses
    ]
    await _insert(conn, records.suppressed_addresses, addresses)
    definitions = [{"key": key, "kind": kind} for key, kind in world.attributes.items()]
    await _insert(conn, records.attribute_definitions, definitions)
    await _insert(conn, models.audiences, [{"id": 1, "name": "list"}])
    members = [{"customer_id": one["id"], "audience_id": number} for one in found for number in one["audiences"]]
    await _insert(conn, models.audience_members, members)
    segments = [{"id": number, "name": f"s{number}", "rule": rule} for number, rule in world.segments.items()]
    await _insert(conn, models.segments, segments)


def _of(one: Person, row: dict[str, Any]) -> dict[str, Any]:
    return {"customer_id": one["id"], **row}


async def _records(conn: AsyncConnection, found: list[Person]) -> None:
    named = sorted({row["campaign"] or "" for one in found for row in _sent(one)})
    campaigns = {name: place for place, name in enumerate(named, 1)}
    rows = [{"campaign_id": place, "name": name, "name_folded": fold(name)} for name, place in campaigns.items()]
    await _insert(conn, tracking.campaign_names, rows)
    for source, table in _TABLES.items():
        rows = [
            _record_row(_of(one, row), table, index, campaigns)
            for one in found
            for index, row in enumerate(one["records"][source])
        ]
        await _insert(conn, table, rows)


def _sent(one: Person) -> list[dict[str, Any]]:
    return [*one["records"]["messages"], *one["records"]["events"]]


def _record_row(row: dict[str, Any], table: Table, index: int, campaigns: dict[str, int]) -> dict[str, Any]:
    number = f"{row['customer_id']}-{index}"
    keys = {"number": number, "order_number": number, "position": index, "run_id": index, "step": 0}
    found = {**row, **{name: value for name, value in keys.items() if name in table.c}}
    if "key" in table.c:
        found["key"] = f"00000000-0000-0000-0000-{index:012d}"
    if table is records.ratings:
        found |= {"counts": True, "how": "button", "recipient": row["customer_id"]}
    if table is tracking.events:
        found["attributes_folded"] = _folded_attributes(row["attributes"]) if row["told"] else {}
    if "campaign" in row:
        found["campaign_id"] = campaigns.get(row["campaign"], 0)
    return _folded({name: value for name, value in found.items() if name in table.c}, table)


def _customer_row(one: Person) -> dict[str, Any]:
    row = {name: value for name, value in one.items() if name in records.customers.c}
    row["tags_folded"] = [fold(tag) for tag in row["tags"]]
    row["attributes_folded"] = _folded_attributes(row["attributes"])
    return _folded(row, records.customers)


def _activity_row(one: Person) -> dict[str, Any]:
    stored = {name: name.replace("rfm.", "rfm_") for name in _ACTIVITY} | {"engagement_score": "engaged_until"}
    return {"customer_id": one["id"], **{column: one[name] for name, column in stored.items()}}


def _folded_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: fold(value) if isinstance(value, str) else [fold(item) for item in value]
        for key, value in attributes.items()
        if isinstance(value, str | list)
    }


def _folded(row: dict[str, Any], table: Table) -> dict[str, Any]:
    twins = {f"{name}_folded": value for name, value in row.items() if f"{name}_folded" in table.c}
    return row | {
        name: fold(value) if isinstance(value, str) else value for name, value in twins.items() if name not in row
    }


async def _insert(conn: AsyncConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        await conn.execute(insert(table), rows)

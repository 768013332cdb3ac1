"""Events that others tell: a visit to the shop, a call, a rating; upserted by the key that their origin gives
them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds, define_attributes, folded_attributes, read_attributes
from customers.bulk import among, put, put_new, with_folded
from customers.changes import note_changed
from customers.models import record_numbers
from customers.moments import read_instant
from customers.owned import OwnedKind, number_owners, refuse_foreign, settle_customers
from customers.results import Outcome, Tally, UpsertResult
from customers.schemas import Schema, clean
from customers.values import Context, read_code, read_number, read_text, read_word
from runtime.errors import Problem
from runtime.registry import Kind
from runtime.settings import Settings
from tracking.facts import FactKind, event_key
from tracking.models import campaign_names, events

Key = tuple[int, UUID]  # (customer, hash of the event's own key)

EVENT = Schema(
    "an event",
    {
        "key": read_code,
        "kind": read_code,
        "at": read_instant,
        "channel": read_word,
        "campaign": read_text,
        "link": read_text,
        "value": read_number,
    },
    required=("key", "kind"),
    nested=frozenset({"customer", "attributes"}),
)
_OWNED = OwnedKind("event", "event", events, ())
_COLUMNS = ("at", "kind", "channel", "campaign_id", "link", "value", "attributes")


@dataclass(eq=False)
class _Stored:
    """An event as known while a batch is worked on; `old_at` is where it stands in the table, None for a new one."""

    values: dict[str, Any]
    old_at: datetime | None
    changed: bool = False

    def take(self, values: Mapping[str, Any], now: datetime) -> Outcome:
        first = self.old_at is None and not self.changed
        wanted = {**values, "at": values["at"] or self.values.get("at") or now}
        different = first or wanted != self.values
        self.values, self.changed = wanted, self.changed or different
        return Outcome.CREATED if first else Outcome.UPDATED if different else Outcome.UNCHANGED


async def record_events(
    conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Create or update events, each `{"key", "kind", "customer": {…}, "at"?, "channel"?, "campaign"? (its name),
    "link"?, "value"?, "attributes"?}`, in a fixed number of statements. An unknown customer is made; without `at`,
    a new event is of now. The ids answered are the customers'."""
    tally = Tally()
    kinds = await attribute_kinds(conn)
    defined = set(kinds)
    given = _read(records, kinds, Context(settings.zone, settings.country), tally)
    await _name_campaigns(conn, given, tally)
    customers = await settle_customers(conn, records, given, tally, settings=settings, now=now)
    wanted = {index: (customers[index], given[index].pop("key")) for index in sorted(customers)}
    owners = await number_owners(conn, "event", (key for _, key in wanted.values()))
    kept = await refuse_foreign(conn, _OWNED, wanted, owners, tally)
    stored = await _load(conn, {_hashed(pair) for pair in kept.values()})
    for index, pair in kept.items():
        tally.accept(index, stored[_hashed(pair)].take(given[index], now))
    await define_attributes(conn, {key: kind for key, kind in kinds.items() if key not in defined})
    numbers = [{"kind": "event", "value": key, "customer_id": customer} for customer, key in set(kept.values())]
    await put_new(conn, record_numbers, numbers)
    await _write(conn, {key: each for key, each in stored.items() if each.changed})
    return tally.result({index: customer for index, (customer, _) in kept.items()})


def _read(records: Sequence[Any], kinds: dict[str, Kind], context: Context, tally: Tally) -> dict[int, dict[str, Any]]:
    given: dict[int, dict[str, Any]] = {}
    for index, record in enumerate(records):
        values, problems = clean(record, EVENT, context)
        nested = record.get("attributes") if isinstance(record, dict) else None
        attributes, faults = read_attributes(nested, kinds, context, "attributes")
        problems += faults
        if values.get("kind") in set(FactKind):
            problems.append(Problem("kind", f"{values['kind']!r} is what tracking itself records; choose another word"))
        if problems:
            tally.reject(index, *problems)
            continue
        known = {key: value for key, value in attributes.items() if value is not None}
        given[index] = {**dict.fromkeys(EVENT.fields), **values, "attributes": known}
    return given


async def _name_campaigns(conn: AsyncConnection, given: dict[int, dict[str, Any]], tally: Tally) -> None:
    """Turn `campaign` (a name; the newest of several) into `campaign_id`; events of unknown ones are refused."""
    names = {values["campaign"] for values in given.values()} - {None}
    newest = select(campaign_names.c.name, func.max(campaign_names.c.campaign_id)).group_by(campaign_names.c.name)
    rows = await conn.execute(newest.where(among(campaign_names.c.name, names)))
    ids = {name: campaign_id for name, campaign_id in rows}  # noqa: C416 -- rows, not pairs, to mypy
    for index in list(given):
        name = given[index].pop("campaign")
        if name is not None and name not in ids:
            tally.reject(index, Problem("campaign", f"there is no campaign {name!r}"))
            del given[index]
            continue
        given[index]["campaign_id"] = ids.get(name)


async def _load(conn: AsyncConnection, wanted: Collection[Key]) -> dict[Key, _Stored]:
    found = {key: _Stored({}, None) for key in wanted}
    if not wanted:
        return found
    columns = [events.c[name] for name in _COLUMNS]
    statement = select(events.c.customer_id, events.c.key, *columns).where(
        among(events.c.customer_id, {customer for customer, _ in wanted}),
        among(events.c.key, {key for _, key in wanted}),
    )
    for row in (await conn.execute(statement)).mappings():
        key = (row["customer_id"], row["key"])
        if key in found:
            found[key] = _Stored({name: row[name] for name in _COLUMNS}, row["at"])
    return found


async def _write(conn: AsyncConnection, changed: Mapping[Key, _Stored]) -> None:
    """An event that moved in time leaves its old place, which may be in another month's table."""
    gone = [(*key, each.old_at) for key, each in changed.items() if each.old_at not in (None, each.values["at"])]
    if gone:
        place = tuple_(events.c.customer_id, events.c.key, events.c.at)
        await conn.execute(delete(events).where(place.in_(gone)))
    rows = [
        {
            "customer_id": customer,
            "key": str(key),
            **each.values,
            "attributes_folded": folded_attributes(each.values["attributes"]),
        }
        for (customer, key), each in changed.items()
    ]
    await put(conn, events, [with_folded(events, row) for row in rows])
    await note_changed(conn, "events", {customer for customer, _ in changed})


def _hashed(pair: tuple[int, str]) -> Key:
    customer, key = pair
    return customer, event_key(f"custom:{key}")

"""Upsert of customers: whom each record means, what it changes, and the few statements that write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds, define_attributes, folded_attributes
from customers.bulk import among, put, put_new, take_turn, with_folded
from customers.changes import CUSTOMERS, EVERYTHING, note_changed
from customers.consents import ConsentEntry, record_consents
from customers.erased import erased_among
from customers.households import household_ids
from customers.known import Known
from customers.models import activity, communities, contact_addresses, customers, dealers, identities, salespeople
from customers.person import Person, read_person
from customers.resolving import Directory, load_directory
from customers.results import Outcome, Tally, UpsertResult
from customers.values import Context
from runtime.errors import Problem
from runtime.settings import Settings
from runtime.text import fold

# The sequence is looked up in a SELECT of its own: once, not once a row.
_NEW_IDS = text("""
    SELECT array_agg(nextval((SELECT CAST(pg_get_serial_sequence('customers', 'id') AS regclass))))
    FROM generate_series(1, :count)
""")
CODES: Mapping[str, Table] = {"community": communities, "dealer": dealers, "salesperson": salespeople}


async def upsert_customers(
    conn: AsyncConnection,
    records: Sequence[Any],
    *,
    settings: Settings,
    now: datetime,
) -> UpsertResult:
    """Create or update the customers that `records` describe, one record after the other, in a fixed number of
    statements. A record with `id` means that customer."""
    tally, ids = await settle(conn, records, settings=settings, now=now)
    return tally.result(ids)


async def settle(
    conn: AsyncConnection,
    records: Sequence[Any],
    *,
    settings: Settings,
    now: datetime,
    fill: bool = False,
    path: str = "",
) -> tuple[Tally, dict[int, int]]:
    """The same, with the customer's id by the record's index. With `fill` a record only completes what is missing (a
    customer named along with an order). `path` goes before the paths of problems."""
    await take_turn(conn)
    kinds = await attribute_kinds(conn)
    defined = set(kinds)
    tally = Tally()
    people = _read(records, kinds, Context(settings.zone, settings.country), path, tally)
    await _refuse_erased(conn, people, path, tally)
    directory = await load_directory(conn, list(people.values()))
    found = _apply(people, directory, tally, now=now, fill=fill, path=path)
    await define_attributes(conn, {key: kind for key, kind in kinds.items() if key not in defined})
    await _write(conn, list(dict.fromkeys(found.values())), now)
    return tally, {index: known.id for index, known in found.items() if known.id is not None}


async def new_ids(conn: AsyncConnection, count: int) -> Sequence[int]:
    """So many ids that no customer has."""
    ids: list[int] = (await conn.execute(_NEW_IDS, {"count": count})).scalar_one()
    return ids


async def ensure_codes(conn: AsyncConnection, table: Table, codes: Iterable[str | None]) -> None:
    """Rows for codes that are not known yet, by code alone."""
    await put_new(conn, table, [{"code": code} for code in sorted({code for code in codes if code})])


def _read(
    records: Sequence[Any], kinds: dict[str, Any], context: Context, path: str, tally: Tally
) -> dict[int, Person]:
    people: dict[int, Person] = {}
    for index, record in enumerate(records):
        person, problems = read_person(record, kinds, context, path)
        if problems:
            tally.reject(index, *problems)
        else:
            people[index] = person
    return people


async def _refuse_erased(conn: AsyncConnection, people: dict[int, Person], path: str, tally: Tally) -> None:
    for index in await erased_among(conn, people):
        del people[index]
        reason = "this person was erased at their own request and is not taken in again"
        tally.reject(index, Problem(path.rstrip("."), reason))


def _apply(
    people: Mapping[int, Person], directory: Directory, tally: Tally, *, now: datetime, fill: bool, path: str
) -> dict[int, Known]:
    found: dict[int, Known] = {}
    made: set[Known] = set()
    for index, person in people.items():
        known = directory.find(person)
        if isinstance(known, list):
            tally.reject(index, *(Problem((path + problem.path).rstrip("."), problem.message) for problem in known))
            continue
        new = known.id is None and known not in made
        changed = known.apply(person, now, fill=fill)
        directory.enter(person, known)
        made.add(known)
        found[index] = known
        tally.accept(index, Outcome.CREATED if new else Outcome.UPDATED if changed else Outcome.UNCHANGED)
    return found


async def _write(conn: AsyncConnection, people: Sequence[Known], now: datetime) -> None:
    new = await _number(conn, [known for known in people if known.id is None])
    changed = [known for known in people if known.changed or known in new]
    for name, table in CODES.items():
        await ensure_codes(conn, table, (known.values[name] for known in changed))
    homes = await household_ids(conn, [known.values for known in people if known.moved])
    for known, home in zip([known for known in people if known.moved], homes, strict=True):
        known.household_id = home
    await put(conn, customers, [customer_row(known, now) for known in changed])
    await put_new(conn, activity, [{"customer_id": known.id} for known in people if known in new])
    await _write_ties(conn, people, now)
    await note_changed(conn, EVERYTHING, [known.id for known in new if known.id is not None])
    old = [known.id for known in people if known not in new and (known.changed or known.addresses_changed)]
    await note_changed(conn, CUSTOMERS, [number for number in old if number is not None])


async def _number(conn: AsyncConnection, new: Sequence[Known]) -> set[Known]:
    if new:
        for known, number in zip(new, await new_ids(conn, len(new)), strict=True):
            known.id = number
    return set(new)


async def _write_ties(conn: AsyncConnection, people: Sequence[Known], now: datetime) -> None:
    """Identities, contact addresses and consents."""
    await put(
        conn,
        identities,
        [
            {"kind": kind, "value": value, "customer_id": known.id}
            for known in people
            for kind, value in known.new_identities
        ],
    )
    gone = [(known.id, *pair) for known in people for pair in known.gone_addresses]
    if gone:
        key = tuple_(contact_addresses.c.customer_id, contact_addresses.c.kind, contact_addresses.c.value)
        await conn.execute(delete(contact_addresses).where(key.in_(gone)))
    await put(
        conn,
        contact_addresses,
        [
            {"customer_id": known.id, "kind": kind, "value": value, "is_primary": primary}
            for known in people
            if known.addresses_changed
            for (kind, value), primary in known.addresses.items()
        ],
    )
    entries = [
        ConsentEntry(known.id, consent) for known in people if known.id is not None for consent in known.new_consents
    ]
    await record_consents(conn, entries, now=now)


def customer_row(known: Known, now: datetime) -> dict[str, Any]:
    """All that a customer's row holds besides its alias."""
    row = {
        "id": known.id,
        **known.values,
        "household_id": known.household_id,
        "tags": known.tags,
        "tags_folded": [fold(tag) for tag in known.tags],
        "attributes": known.attributes,
        "attributes_folded": folded_attributes(known.attributes),
        "created_at": now,
        "updated_at": now,
    }
    return with_folded(customers, row)


async def names_of(conn: AsyncConnection, ids: Iterable[int]) -> dict[int, str]:
    """How to name these customers to a person: by external id where they have one."""
    rows = await conn.execute(select(customers.c.id, customers.c.external_id).where(among(customers.c.id, set(ids))))
    return {number: f"customer {number} (external_id {own!r})" if own else f"customer {number}" for number, own in rows}

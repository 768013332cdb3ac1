"""Whom a record means: the customer who holds its identities; a phone counts only where there is nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from customers.known import COLUMNS, Known
from customers.models import consents, contact_addresses, customers, standing_consents
from customers.person import Pair, Person
from runtime.errors import Problem

_OWNERS = text(
    "SELECT kind, value, customer_id FROM identities"
    " WHERE (kind, value) IN (SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[])))"
)

_HOLDERS = text("""
    SELECT value, customer_id FROM contact_addresses JOIN unnest(CAST(:phones AS text[])) AS asked(value) USING (value)
    WHERE kind = 'phone' ORDER BY customer_id
""")


@dataclass
class Directory:
    """Everybody whom a batch can mean, and those it makes on the way."""

    owners: dict[Pair, Known] = field(default_factory=dict)
    holders: dict[str, list[Known]] = field(default_factory=dict)  # phone → who can be reached there

    def find(self, person: Person) -> Known | list[Problem]:
        """The customer whom `person` means, a new one, or why that cannot be told."""
        if person.id is not None and ("id", str(person.id)) not in self.owners:
            return [Problem("id", f"there is no customer {person.id}")]
        owners = {pair: self.owners[pair] for pair in person.signs if pair in self.owners}
        found = list(dict.fromkeys(owners.values()))
        if len(found) > 1:
            return [Problem("", _conflict(owners))]
        if not person.signs:
            found = self.holders.get(person.phone or "", [])
        if len(found) > 1:
            names = ", ".join(_name(known) for known in found[:5])
            return [Problem("phone", f"{len(found)} customers have {person.phone}: {names}; name one by an identity")]
        if found and person.id is None and (fault := _other_id(person, owners, found[0])):
            return [fault]
        return found[0] if found else stranger()

    def enter(self, person: Person, known: Known) -> None:
        """From now on `person`'s identities mean `known`."""
        for pair in person.identities:
            self.owners[pair] = known
        if person.phone is not None:
            held = self.holders.setdefault(person.phone, [])
            if known not in held:
                held.append(known)


async def load_directory(conn: AsyncConnection, people: Sequence[Person]) -> Directory:
    """The customers whom `people` can mean, as they are known, in a fixed number of statements."""
    owners = await owners_of(conn, {pair for person in people for pair in person.identities})
    owners.update(await _by_id(conn, {person.id for person in people if person.id is not None}))
    phones = {person.phone for person in people if person.phone and not person.signs}
    holders = await _holders(conn, phones)
    ids = {*owners.values(), *(customer for held in holders.values() for customer in held)}
    known = await load_customers(conn, sorted(ids), consent=any(person.consents for person in people))
    for pair, customer in owners.items():
        if pair[0] != "id":
            known[customer].identities.add(pair)
    return Directory(
        {pair: known[customer] for pair, customer in owners.items()},
        {phone: [known[customer] for customer in held] for phone, held in holders.items()},
    )


async def owners_of(conn: AsyncConnection, pairs: Iterable[Pair]) -> dict[Pair, int]:
    """Who holds each of these identities; those that nobody holds are left out."""
    wanted = list(pairs)
    if not wanted:
        return {}
    kinds, values = [kind for kind, _ in wanted], [value for _, value in wanted]
    rows = await conn.execute(_OWNERS, {"kinds": kinds, "values": values})
    return {(kind, value): customer for kind, value, customer in rows}


async def load_customers(conn: AsyncConnection, ids: Sequence[int], *, consent: bool = False) -> dict[int, Known]:
    """These customers as they are known, without their identities; their consents only where asked for."""
    if not ids:
        return {}
    columns = [customers.c[name] for name in (*COLUMNS, "id", "tags", "attributes", "household_id")]
    rows = await conn.execute(select(*columns).where(among(customers.c.id, ids)))
    known = {made.id: made for made in map(_known, rows) if made.id is not None}
    held = contact_addresses.c
    addresses = select(held.customer_id, held.kind, held.value, held.is_primary).where(among(held.customer_id, ids))
    for customer, kind, value, primary in await conn.execute(addresses):
        known[customer].addresses[kind, value] = primary
    if consent:
        await _load_consents(conn, ids, known)
    return known


def stranger() -> Known:
    """A customer of whom nothing is known yet."""
    return Known(None, dict.fromkeys(COLUMNS), [], {}, {}, {}, set())


async def _by_id(conn: AsyncConnection, ids: set[int]) -> dict[Pair, int]:
    if not ids:
        return {}
    table = customers.c
    rows = await conn.execute(select(table.id, func.coalesce(table.merged_into, table.id)).where(among(table.id, ids)))
    return {("id", str(number)): customer for number, customer in rows}


async def _holders(conn: AsyncConnection, phones: set[str]) -> dict[str, list[int]]:
    if not phones:
        return {}
    found: dict[str, list[int]] = {}
    for phone, customer in await conn.execute(_HOLDERS, {"phones": list(phones)}):
        found.setdefault(phone, []).append(customer)
    return found


async def _load_consents(conn: AsyncConnection, ids: Sequence[int], known: Mapping[int, Known]) -> None:
    now, ever = standing_consents.c, consents.c
    standing = select(now.customer_id, now.channel, now.purpose, now.granted, now.at)
    for customer, channel, purpose, granted, at in await conn.execute(standing.where(among(now.customer_id, ids))):
        known[customer].standing[channel, purpose] = (granted, at)
    ledger = select(ever.customer_id, ever.channel, ever.purpose, ever.at, ever.granted)
    for customer, channel, purpose, at, granted in await conn.execute(ledger.where(among(ever.customer_id, ids))):
        known[customer].ledger.add((channel, purpose, at, granted))


def _known(row: Row[Any]) -> Known:
    """Of a row that begins with COLUMNS."""
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=False))
    return Known(row.id, values, row.tags, row.attributes, {}, {}, set(), household_id=row.household_id)


def _other_id(person: Person, owners: Mapping[Pair, Known], known: Known) -> Problem | None:
    """Who shares an e-mail address but has another id of their own is another person."""
    given, held = person.values.get("external_id"), known.values["external_id"]
    if given is None or held is None or ("external_id", given) in owners:
        return None
    pair = next(iter(owners), ("phone", person.phone))
    return Problem(
        pair[0], f"{pair[1]!r} belongs to {_name(known)}, not to external_id {given!r}; merge or correct them"
    )


def _conflict(owners: Mapping[Pair, Known]) -> str:
    parts = [f"{kind} {value!r} belongs to {_name(known)}" for (kind, value), known in owners.items()]
    return f"means different customers: {', '.join(parts)}; merge them or correct the record"


def _name(known: Known) -> str:
    own = known.values["external_id"]
    if known.id is None:
        return (
            f"the customer of an earlier record (external_id {own!r})" if own else "the customer of an earlier record"
        )
    return f"customer {known.id} (external_id {own!r})" if own else f"customer {known.id}"

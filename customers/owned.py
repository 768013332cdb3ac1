"""What orders, appliances and service visits share: a number of their own, and the one customer who has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, put, put_new, with_folded
from customers.models import record_numbers
from customers.people import names_of, settle
from customers.results import Outcome, Tally
from runtime.errors import Problem
from runtime.settings import Settings

Key = tuple[int, str]  # (customer, number)
MADE = "~"
"""What a number begins with that was made from what is known: it means something only together with its customer."""


@dataclass(frozen=True)
class OwnedKind:
    """A kind of record that belongs to a customer: how to call one, its table, the columns that records set."""

    noun: str
    number_kind: str
    table: Table
    columns: tuple[str, ...]


@dataclass(eq=False)
class Row:
    """One record as known while a batch is worked on."""

    customer_id: int
    number: str
    values: dict[str, Any]
    new: bool
    changed: bool = False

    @property
    def key(self) -> Key:
        return self.customer_id, self.number

    def take(self, values: Mapping[str, Any]) -> Outcome:
        """Let `values` be the record's new state (of the columns that it names); what that did."""
        first = self.new and not self.changed
        different = any(self.values.get(name) != value for name, value in values.items())
        self.values.update(values)
        self.changed |= first or different
        return Outcome.CREATED if first else Outcome.UPDATED if different else Outcome.UNCHANGED


def made_number(facts: Sequence[Any]) -> str:
    """The number of a record that has none: the same facts give the same number."""
    return MADE + hashlib.blake2b(json.dumps(facts, ensure_ascii=False).encode(), digest_size=8).hexdigest()


async def settle_customers(
    conn: AsyncConnection,
    records: Sequence[Any],
    clean: Collection[int],
    tally: Tally,
    *,
    settings: Settings,
    now: datetime,
) -> dict[int, int]:
    """The customer of each record whose index is in `clean`, made where unknown; the others are rejected."""
    order = sorted(clean)
    named = [records[index].get("customer") or {} for index in order]
    inner, ids = await settle(conn, named, settings=settings, now=now, fill=True, path="customer.")
    for place, problems in inner.rejected.items():
        tally.reject(order[place], *problems)
    return {order[place]: customer for place, customer in ids.items()}


async def number_owners(conn: AsyncConnection, kind: str, numbers: Iterable[str]) -> dict[str, int]:
    """Who has the record of each number; unknown numbers are left out."""
    wanted = {number for number in numbers if number and not number.startswith(MADE)}
    if not wanted:
        return {}
    query = select(record_numbers.c.value, record_numbers.c.customer_id)
    rows = await conn.execute(query.where(record_numbers.c.kind == kind, among(record_numbers.c.value, wanted)))
    return {number: customer for number, customer in rows}  # noqa: C416 -- rows, not pairs, to mypy


async def refuse_foreign(
    conn: AsyncConnection, kind: OwnedKind, wanted: Mapping[int, Key], owners: dict[str, int], tally: Tally
) -> dict[int, Key]:
    """Those of `wanted` (record index → key) whose number is free or the same customer's; new ones enter `owners`."""
    kept: dict[int, Key] = {}
    foreign: dict[int, Key] = {}
    for index, (customer, number) in wanted.items():
        if number.startswith(MADE) or owners.setdefault(number, customer) == customer:
            kept[index] = (customer, number)
        else:
            foreign[index] = (customer, number)
    people = {person for customer, number in foreign.values() for person in (customer, owners[number])}
    names = await names_of(conn, people)
    for index, (customer, number) in foreign.items():
        reason = f"{kind.noun} {number!r} belongs to {names[owners[number]]}, not to {names[customer]}"
        tally.reject(index, Problem("number", reason))
    return kept


async def load_rows(conn: AsyncConnection, kind: OwnedKind, keys: Iterable[Key]) -> dict[Key, Row]:
    """The records of these keys: as stored, or new ones of which nothing is known."""
    wanted = set(keys)
    rows = {key: Row(*key, dict.fromkeys(kind.columns), new=True) for key in wanted}
    if not wanted:
        return rows
    table = kind.table.c
    query = select(table.customer_id, table.number, *(table[name] for name in kind.columns)).where(
        among(table.customer_id, {customer for customer, _ in wanted}),
        among(table.number, {number for _, number in wanted}),
    )
    for stored in (await conn.execute(query)).mappings():
        key = (stored["customer_id"], stored["number"])
        if key in wanted:
            rows[key] = Row(*key, {name: stored[name] for name in kind.columns}, new=False)
    return rows


async def write_rows(conn: AsyncConnection, kind: OwnedKind, rows: Iterable[Row], now: datetime) -> None:
    """Write what changed, and the numbers of what is new."""
    changed = [row for row in rows if row.changed]
    numbers = [
        {"kind": kind.number_kind, "value": row.number, "customer_id": row.customer_id}
        for row in changed
        if row.new and not row.number.startswith(MADE)
    ]
    await put_new(conn, record_numbers, numbers)
    times = {"created_at": now, "updated_at": now}
    written = [{"customer_id": row.customer_id, "number": row.number, **row.values, **times} for row in changed]
    await put(conn, kind.table, [with_folded(kind.table, row) for row in written])

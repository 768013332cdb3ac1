"""Upsert of what others name by code: communities, dealers, salespeople, products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among, put, take_turn
from customers.models import communities, dealers, products, salespeople
from customers.people import ensure_codes
from customers.results import Outcome, Tally, UpsertResult
from customers.schemas import COMMUNITY, DEALER, PRODUCT, SALESPERSON, Schema, clean
from customers.values import Context
from runtime.settings import Settings


@dataclass(frozen=True)
class CodedKind:
    """A table of coded rows, what a record may say of one, and what a new row has where the record says nothing."""

    table: Table
    schema: Schema
    defaults: Mapping[str, Any]


CODED: Mapping[str, CodedKind] = {
    "communities": CodedKind(communities, COMMUNITY, {}),
    "dealers": CodedKind(dealers, DEALER, {}),
    "salespeople": CodedKind(salespeople, SALESPERSON, {"active": True}),
    "products": CodedKind(products, PRODUCT, {}),
}


async def upsert_coded(
    conn: AsyncConnection, kind: CodedKind, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Create or update rows by code; `ids` are the rows' own."""
    await take_turn(conn)
    context = Context(settings.zone, settings.country)
    tally = Tally()
    given: dict[int, dict[str, Any]] = {}
    for index, record in enumerate(records):
        values, problems = clean(record, kind.schema, context)
        if problems:
            tally.reject(index, *problems)
        else:
            given[index] = {
                name: value for name, value in values.items() if value is not None or name not in kind.defaults
            }
    stored = await _load(conn, kind, [values["code"] for values in given.values()])
    changed = _apply(kind, given, stored, tally)
    await ensure_codes(conn, dealers, (row.get("dealer") for row in changed.values()))
    await put(conn, kind.table, [row | {"updated_at": now} for row in changed.values()], key=("code",))
    ids = await _ids(conn, kind.table, [values["code"] for values in given.values()])
    return tally.result({index: ids[values["code"]] for index, values in given.items()})


def _apply(
    kind: CodedKind, given: Mapping[int, dict[str, Any]], stored: dict[str, dict[str, Any]], tally: Tally
) -> dict[str, dict[str, Any]]:
    """The rows to write, by code."""
    changed: dict[str, dict[str, Any]] = {}
    for index, values in given.items():
        code = values["code"]
        row = stored.get(code)
        if row is None:
            row = stored[code] = {**dict.fromkeys(kind.schema.fields), **kind.defaults}
            outcome = Outcome.CREATED
        else:
            same = all(row[name] == value for name, value in values.items())
            outcome = Outcome.UNCHANGED if same else Outcome.UPDATED
        row.update(values)
        if outcome is not Outcome.UNCHANGED:
            changed[code] = row
        tally.accept(index, outcome)
    return changed


async def _load(conn: AsyncConnection, kind: CodedKind, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
    columns = [kind.table.c[name] for name in kind.schema.fields]
    rows = await conn.execute(select(*columns).where(among(kind.table.c.code, codes)))
    return {row["code"]: dict(row) for row in rows.mappings()}


async def _ids(conn: AsyncConnection, table: Table, codes: Sequence[str]) -> dict[str, int]:
    rows = await conn.execute(select(table.c.code, table.c.id).where(among(table.c.code, codes)))
    return {code: number for code, number in rows}  # noqa: C416 -- rows, not pairs, to mypy

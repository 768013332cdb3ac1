"""The reference set of the segment benchmarks: a million customers in the product's own embedded, durable database.

Made once and kept under `HEARTH_DATA_DIR/bench`; made anew where the schema or the way it is made has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Index, Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex

from bench import market
from bench.rules import IN_SEGMENT
from customers import models
from customers.activity import fold_orders
from customers.ranks import refresh_ranks
from runtime.database import metadata
from runtime.house import House, open_house
from runtime.settings import load_settings
from runtime.tidy import tidy
from segments.models import audience_members, segments

_MADE = "made"
_PART_A: Sequence[tuple[Table, tuple[str, ...]]] = (
    (models.customers, (market.CUSTOMERS, market.ALIASES)),
    (models.activity, (market.ACTIVITY,)),
    (models.contact_addresses, (market.ADDRESSES,)),
    (models.standing_consents, (market.CONSENTS,)),
    (models.suppressions, (market.SUPPRESSIONS,)),
    (models.suppressed_addresses, (market.SUPPRESSED_ADDRESSES,)),
    (audience_members, tuple(market.LISTS.split(";"))),
)
_PART_B: Sequence[tuple[Table, tuple[str, ...]]] = (
    (models.orders, (market.ORDERS,)),
    (models.appliances, (market.APPLIANCES,)),
)


def say(words: str) -> None:
    """Progress goes to stderr: stdout is for results."""
    print(f"bench: {words}", file=sys.stderr, flush=True)


@asynccontextmanager
async def million(scale: float) -> AsyncIterator[House]:
    """A house over the reference set at `scale`, and its folder as `settings.data_dir`."""
    people = max(1_000, int(market.PEOPLE * scale))
    settings = load_settings()
    folder = settings.data_dir / "bench" / f"{people}-{_fingerprint()}"
    if not (folder / _MADE).exists():
        for stale in folder.parent.glob(f"{people}-*"):
            shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    async with open_house(replace(settings, database_url=None, data_dir=folder)) as house:
        if not (folder / _MADE).exists():
            await _make(house, people)
            (folder / _MADE).touch()
        yield house


def _fingerprint() -> str:
    """Of the schema and of how the data are made: other data need another folder."""
    schema = [str(CreateTable(table)) for table in metadata.sorted_tables]
    schema += [str(CreateIndex(index)) for table in metadata.sorted_tables for index in _indexes(table)]
    made = [Path(path).read_text(encoding="utf-8") for path in (market.__file__, __file__)]
    return hashlib.sha256("\n".join(schema + made).encode()).hexdigest()[:12]


async def _make(house: House, people: int) -> None:
    started = time.monotonic()
    say(f"making {people:,} customers with their orders and appliances")
    async with house.database.begin() as conn:
        for statement in market.CODES.split(";"):
            await _execute(conn, statement, people)
    await asyncio.gather(_fill(house, _PART_A, people), _fill(house, _PART_B, people))
    say(f"folding orders into activity ({time.monotonic() - started:.0f} s)")
    async with house.database.begin() as conn:
        await fold_orders(conn)
    async with house.database.begin() as conn:
        await refresh_ranks(conn)
        for number, rule in IN_SEGMENT.items():
            kept = insert(segments).values(id=number, name=f"segment {number}", rule=rule)
            await conn.execute(kept)
    await vacuum(house)
    say(f"made in {time.monotonic() - started:.0f} s")


async def vacuum(house: House) -> None:
    """What autovacuum and checkpoints do in time."""
    await tidy(house.database, [])
    async with house.database.begin() as conn:
        await conn.execute(text("CHECKPOINT"))


async def _fill(house: House, tables: Sequence[tuple[Table, tuple[str, ...]]], people: int) -> None:
    """Emptied and filled in one transaction, nothing is logged twice; secondary indexes are made at the end."""
    for table, statements in tables:
        began = time.monotonic()
        async with house.database.begin() as conn:
            await conn.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
            for index in _indexes(table):
                await conn.execute(DropIndex(index))
            await conn.execute(text(f"TRUNCATE {table.name}"))
            for statement in statements:
                await _execute(conn, statement, people)
            for index in _indexes(table):
                await conn.execute(CreateIndex(index))
        say(f"{table.name}: {time.monotonic() - began:.1f} s")


async def _execute(conn: AsyncConnection, statement: str, people: int) -> None:
    values = {
        "people": people,
        "communities": market.COMMUNITIES_PER_MILLION * people // market.PEOPLE,
        "salespeople": market.SALESPEOPLE_PER_MILLION * people // market.PEOPLE,
    }
    named = {name: value for name, value in values.items() if f":{name}" in statement}
    await conn.execute(text(statement), named)


def _indexes(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))

"""The bare facts of the reference set in DuckDB, an analytical database of one's own machine: the measure of speed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.database import driver

_FILE = "facts.duckdb"
_TABLES: Mapping[str, tuple[str, str]] = {  # its columns there, and the query here; text folded, as rules compare it
    "customers": (
        "id BIGINT, name VARCHAR, city VARCHAR, address VARCHAR, tags VARCHAR[], merged_into BIGINT",
        "SELECT id, name_folded, city_folded, address_folded, '[' || array_to_string(tags_folded, ',') || ']',"
        " merged_into FROM customers",
    ),
    "orders": (
        "customer_id BIGINT, number VARCHAR, status VARCHAR, ordered_at TIMESTAMPTZ, amount DECIMAL(18, 4),"
        " refunded DECIMAL(18, 4)",
        "SELECT customer_id, number, status, ordered_at, amount, refunded FROM orders",
    ),
    "appliances": (
        "customer_id BIGINT, number VARCHAR, category_folded VARCHAR, brand_folded VARCHAR, installed_on DATE,"
        " repairs_count INTEGER",
        "SELECT customer_id, number, category_folded, brand_folded, installed_on, repairs_count FROM appliances",
    ),
    "standing_consents": (
        "customer_id BIGINT, channel VARCHAR, purpose VARCHAR, granted BOOLEAN",
        "SELECT customer_id, channel, purpose, granted FROM standing_consents",
    ),
    "contact_addresses": (
        "customer_id BIGINT, kind VARCHAR, value VARCHAR",
        "SELECT customer_id, kind, value FROM contact_addresses",
    ),
    "suppressions": (
        "customer_id BIGINT, channel VARCHAR, address VARCHAR, expires_at TIMESTAMPTZ",
        "SELECT customer_id, channel, address, expires_at FROM suppressions",
    ),
    "suppressed_addresses": (
        "kind VARCHAR, value VARCHAR, expires_at TIMESTAMPTZ",
        "SELECT kind, value, expires_at FROM suppressed_addresses",
    ),
    "audience_members": (
        "customer_id BIGINT, audience_id BIGINT",
        "SELECT customer_id, audience_id FROM audience_members",
    ),
}


async def facts(conn: AsyncConnection, folder: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB over the facts that `conn` sees, kept in `folder`; loaded the first time."""
    file = folder / _FILE
    if not file.exists():
        await _load(conn, folder, file)
    opened = duckdb.connect(str(file), read_only=True)
    opened.execute("SET TimeZone = 'UTC'")
    return opened


async def _load(conn: AsyncConnection, folder: Path, file: Path) -> None:
    unfinished = file.with_suffix(".loading")
    unfinished.unlink(missing_ok=True)
    rows = folder / "rows.csv"
    with duckdb.connect(str(unfinished)) as fresh:
        for name, (columns, query) in _TABLES.items():
            await _write(conn, query, rows)
            fresh.execute(f"CREATE TABLE {name} ({columns})")
            fresh.execute(f"COPY {name} FROM '{rows}' (FORMAT csv, HEADER false)")
    rows.unlink()
    unfinished.rename(file)


async def _write(conn: AsyncConnection, query: str, rows: Path) -> None:
    await conn.execute(text("SELECT 1"))
    raw = await driver(conn)
    with rows.open("wb") as file:
        async with raw.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            async for block in copy:
                file.write(block)

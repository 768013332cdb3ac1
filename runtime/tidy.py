"""What follows a great change of tables: rows that nobody sees any more are freed, statistics are fresh.

Autovacuum does it too, by and by. Until then plans go by old numbers, and indexes that could answer alone ask their
table about each row.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table, text

from runtime.database import Database

GREAT = 20_000
"""Rows from which on a change is worth it."""


async def tidy(database: Database, tables: Sequence[Table]) -> None:
    """Some seconds for millions of rows; readers and writers go on meanwhile. Not within a transaction."""
    async with database.connect() as conn:
        alone = await conn.execution_options(isolation_level="AUTOCOMMIT")
        await alone.execute(text(f"VACUUM (ANALYZE) {', '.join(table.name for table in tables)}"))

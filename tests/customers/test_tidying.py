"""After a large import its tables are vacuumed and known by their numbers; after a small one they are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from customers.imports import tidying
from customers.imports.run import Job, Progress
from customers.imports.source import Source
from runtime.database import Database

_FILL = text("INSERT INTO customers (external_id) SELECT 'c' || n FROM generate_series(1, 2000) n")
_KNOWN = text("SELECT reltuples = 2000 FROM pg_class WHERE relname = 'customers'")


@pytest.mark.parametrize(
    ("kind", "changed", "dry", "tidied"),
    [
        ("customers", 2000, False, True),
        ("orders", 2000, False, True),
        ("customers", 1999, False, False),
        ("customers", 2000, True, False),
    ],
)
async def test_a_large_import_leaves_its_tables_in_order(
    db: Database, monkeypatch: pytest.MonkeyPatch, kind: str, changed: int, dry: bool, tidied: bool
) -> None:
    monkeypatch.setattr(tidying, "GREAT", 2000)
    async with db.begin() as conn:
        await conn.execute(_FILL)
    job = Job(Source(Path("people.csv"), "people.csv"), kind, dry_run=dry)
    await tidying.tidy_after(db, job, Progress(created=changed))
    async with db.connect() as conn:
        assert await conn.scalar(_KNOWN) is tidied

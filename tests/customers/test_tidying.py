"""After a large import its tables are vacuumed and known by their numbers; after a small one they are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from customers.imports import tidying
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from runtime.database import Database
from runtime.settings import Settings
from tests.customers.door import NOW
from tests.waiting import until

_FILL = text("INSERT INTO customers (external_id) SELECT 'c' || n FROM generate_series(1, 2000) n")
_REMEMBERED = text("SELECT reltuples FROM pg_class WHERE relname = 'customers'")
_COUNTED = text("SELECT n_tup_ins FROM pg_stat_all_tables WHERE relname = 'customers'")
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


async def test_a_growing_import_is_vacuumed_once_while_small_and_then_not_followed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "GREAT", 500)
    path = tmp_path / "people.csv"
    path.write_text("external_id\n" + "".join(f"K{n}\n" for n in range(3000)), encoding="utf-8")
    database = Database(str(settings.database_url), pool_size=2)
    try:
        done = await import_file(
            database, Job(Source(path, path.name), "customers"), Account(), settings=settings, now=NOW
        )
        async with database.connect() as conn:
            assert await conn.scalar(_REMEMBERED) == 1000  # the first batch
    finally:
        await database.close()  # which tells what was counted
    assert done.created == 3000
    database = Database(str(settings.database_url), pool_size=1)

    async def counted() -> bool:
        async with database.connect() as conn:
            return bool(await conn.scalar(_COUNTED) == 1000)

    try:
        await until(counted)
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("kind", "dry", "created", "updated", "growing"),
    [
        ("customers", False, 20_000, 0, True),
        ("customers", False, 20_000, 10_001, False),
        ("customers", False, 19_999, 0, False),
        ("customers", True, 20_000, 0, False),
        ("orders", False, 20_000, 0, False),
    ],
)
def test_what_grows(kind: str, dry: bool, created: int, updated: int, growing: bool) -> None:
    job = Job(Source(Path("people.csv"), "people.csv"), kind, dry_run=dry)
    assert tidying.is_growing(job, Progress(created=created, updated=updated)) is growing

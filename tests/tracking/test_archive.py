"""A month of events as a file: whole, once, and read back the same."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.errors import Conflict, NotFound
from tracking.archive import archive, months
from tracking.models import events
from tracking.partitions import make_ahead

NOW = datetime(2031, 11, 22, tzinfo=UTC)
OCTOBER = datetime(2031, 10, 1, tzinfo=UTC)


@pytest.fixture
async def three(conn: AsyncConnection) -> AsyncConnection:
    """Two events of October, one of November."""
    await make_ahead(conn, NOW)
    for day in (OCTOBER, OCTOBER.replace(day=31), NOW):
        row = {"customer_id": 1, "at": day, "key": uuid4(), "kind": "visit", "kind_folded": "visit"}
        await conn.execute(insert(events), row | {"attributes": {"said": 'a "b",\nc'}})
    return conn


def rows_of(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text_file:
        return list(csv.DictReader(text_file))


async def test_a_month_is_written_whole_and_stays(three: AsyncConnection, tmp_path: Path) -> None:
    file = tmp_path / "october.csv.gz"
    assert await archive(three, OCTOBER, file, NOW) == 2
    written = rows_of(file)
    assert [row["kind"] for row in written] == ["visit", "visit"]
    assert "c" in written[0]["attributes"]
    assert await three.scalar(select(func.count()).select_from(events)) == 3
    assert [path.name for path in sorted(tmp_path.iterdir()) if "october" in path.name] == ["october.csv.gz"]  # noqa: ASYNC240


async def test_what_was_written_can_be_read_back(three: AsyncConnection, tmp_path: Path) -> None:
    await archive(three, OCTOBER, tmp_path / "october.csv.gz", NOW)
    keys = {row["key"] for row in rows_of(tmp_path / "october.csv.gz")}
    stored = (await three.execute(text("SELECT CAST(key AS text) FROM events_y2031m10"))).scalars()
    assert keys == set(stored)


async def test_nothing_is_overwritten_and_no_month_that_goes_on(three: AsyncConnection, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("precious")
    with pytest.raises(Conflict, match="already"):
        await archive(three, OCTOBER, file, NOW)
    assert file.read_text() == "precious"
    with pytest.raises(Conflict, match="not over"):
        await archive(three, NOW, tmp_path / "november", NOW)
    with pytest.raises(NotFound):
        await archive(three, datetime(2020, 1, 1, tzinfo=UTC), tmp_path / "other", NOW)
    with pytest.raises(Conflict, match="cannot write"):
        await archive(three, OCTOBER, tmp_path / "nowhere/x", NOW)


async def test_months_are_listed_in_their_order(three: AsyncConnection) -> None:
    names = [month.name for month in await months(three)]
    assert names[-1] == "other"
    assert names[:-1] == sorted(names[:-1])
    assert "2031-10" in names

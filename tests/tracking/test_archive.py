"""A month of events as a file: whole, once, and naming nobody."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from runtime.database import Database
from runtime.errors import Conflict, NotFound
from tests.tracking.people_with_mail import make_people
from tracking.archive import COLUMNS, archive, months
from tracking.models import archive_codes, events
from tracking.partitions import make_ahead

NOW = datetime(2031, 11, 22, tzinfo=UTC)
OCTOBER = datetime(2031, 10, 1, tzinfo=UTC)


@pytest.fixture
async def three(db: Database) -> Database:
    """Two events of October, one of November."""
    async with db.begin() as conn:
        await make_ahead(conn, NOW)
        [person] = await make_people(conn, 1, name="王小明", email="wang@example.com")
        for day in (OCTOBER, OCTOBER.replace(day=31), NOW):
            row = {"customer_id": person, "at": day, "key": uuid4(), "kind": "visit", "kind_folded": "visit"}
            await conn.execute(insert(events), row | {"link": 'a "b",\nc', "attributes": {"said": "wang@example.com"}})
    return db


def rows_of(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text_file:
        return list(csv.DictReader(text_file))


async def test_a_month_is_written_whole_and_stays(three: Database, tmp_path: Path) -> None:
    file = tmp_path / "october.csv.gz"
    assert await archive(three, OCTOBER, file, NOW) == 2
    written = rows_of(file)
    assert [(row["kind"], row["link"]) for row in written] == [("visit", 'a "b",\nc')] * 2
    async with three.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(events)) == 3
    assert [path.name for path in sorted(tmp_path.iterdir()) if "october" in path.name] == ["october.csv.gz"]  # noqa: ASYNC240


async def test_a_file_names_people_by_codes_that_the_database_alone_can_tell(three: Database, tmp_path: Path) -> None:
    file = tmp_path / "october.csv.gz"
    await archive(three, OCTOBER, file, NOW)
    await archive(three, OCTOBER, tmp_path / "again.csv.gz", NOW)
    async with three.connect() as conn:
        [(person, code)] = (await conn.execute(select(archive_codes))).all()
    assert {row["person"] for row in rows_of(file) + rows_of(tmp_path / "again.csv.gz")} == {str(code)}
    assert tuple(rows_of(file)[0]) == COLUMNS
    assert person is not None
    assert b"wang" not in gzip.decompress(file.read_bytes())


async def test_nothing_is_overwritten_and_no_month_that_goes_on(three: Database, tmp_path: Path) -> None:
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


async def test_months_are_listed_in_their_order(three: Database) -> None:
    async with three.connect() as conn:
        names = [month.name for month in await months(conn)]
    assert names[-1] == "other"
    assert names[:-1] == sorted(names[:-1])
    assert "2031-10" in names

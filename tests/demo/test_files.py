"""The sample files are what their generator writes, and the books survive the way through a file."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import func, select

from customers.imports.mapping import load_mapping
from customers.imports.run import Account, Job, import_file
from customers.imports.source import Source
from customers.models import standing_consents
from demo.books import sizes
from demo.dealer import make_dealer
from demo.examples import DAY, FOLDER, HOUSEHOLDS, SAMPLES, write_samples
from demo.files import ROWS, write_csv
from runtime.clock import utc_now
from runtime.database import Database
from runtime.settings import Settings


def test_the_samples_are_those_of_the_generator(tmp_path: Path) -> None:
    for name, lines in write_samples(tmp_path):
        assert lines > 150
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: run python -m demo.examples"


@pytest.mark.parametrize("kind", list(ROWS))
@pytest.mark.parametrize(("encoding", "delimiter"), sorted({(encoding, sign) for _, _, encoding, sign in SAMPLES}))
def test_a_file_holds_every_record(tmp_path: Path, kind: str, encoding: str, delimiter: str) -> None:
    dealer = make_dealer(date(2026, 11, 1), households=30)
    path = tmp_path / "file"
    write_csv(path, ROWS[kind](dealer), encoding=encoding, delimiter=delimiter)
    with path.open(encoding=encoding, newline="") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    assert rows == list(ROWS[kind](dealer))
    keys = {"customers": "客户编号", "orders": "订单号", "appliances": "家电编号", "service_visits": "工单号"}
    numbers = [record.get("external_id") or record["number"] for record in getattr(dealer, kind)]
    assert list(dict.fromkeys(row[keys[kind]] for row in rows)) == numbers


async def test_the_samples_import_with_their_mappings(db: Database, settings: Settings) -> None:
    dealer = make_dealer(DAY, households=HOUSEHOLDS)
    for name, kind, _, _ in SAMPLES:
        mapping = FOLDER / f"{kind}_zh.json"
        file = Source(FOLDER / name, name)
        job = Job(file, kind, load_mapping(mapping) if mapping.exists() else None)
        records = len(getattr(dealer, kind))
        first = await import_file(db, job, Account(), settings=settings, now=utc_now())
        assert (first.rejected, first.created, first.unchanged) == (0, records, 0), name
        again = await import_file(db, job, Account(), settings=settings, now=utc_now())
        assert (again.rejected, again.created, again.unchanged) == (0, 0, records), name
    async with db.connect() as conn:
        assert await sizes(conn) == {kind: len(getattr(dealer, kind)) for _, kind, _, _ in SAMPLES}
        agreed = await conn.scalar(select(func.count()).where(standing_consents.c.granted))
    last_words = [record["consents"][-1]["granted"] for record in dealer.customers if record["consents"]]
    assert agreed == sum(last_words)


def test_an_empty_kind_makes_an_empty_file(tmp_path: Path) -> None:
    assert write_csv(tmp_path / "file", []) == 0

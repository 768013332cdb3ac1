"""The sample files are what their generator writes, and the books survive the way through a file."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from demo.dealer import make_dealer
from demo.examples import FOLDER, SAMPLES, write_samples
from demo.files import ROWS, write_csv


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


def test_an_empty_kind_makes_an_empty_file(tmp_path: Path) -> None:
    assert write_csv(tmp_path / "file", []) == 0

"""`hearth import` as a shell calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import hearth
from runtime import terminal
from runtime.settings import Settings

TABLE = "客户编号,姓名,手机\n1,王伟,13800138000\n2,李娜,12\n3,=cmd(),x\n"


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEARTH_DATABASE_URL", settings.database_url or "")
    monkeypatch.setenv("HEARTH_SECRET_KEY", settings.secret_key or "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.csv").write_text(TABLE, encoding="gb18030")


def shell(*arguments: str) -> int:
    return terminal.run(hearth.command_line(), ("import", *arguments), "hearth")


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_file_is_imported_and_refused_lines_go_beside_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert shell("customers", "people.csv", "--json") == 0
    told = document(capsys)
    assert told.pop("seconds") > 0
    assert told == {
        "rows": 3,
        "accepted": 1,
        "rejected": 2,
        "records": {"created": 1, "updated": 0, "unchanged": 0},
        "dry_run": False,
        "rejects": "people.csv.rejects.csv",
    }
    with (tmp_path / "people.csv.rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["line", "column", "reason", "客户编号", "姓名", "手机"]
    assert [line[:2] for line in lines[1:]] == [["3", "手机"], ["4", "手机"]]
    assert lines[2][4] == "'=cmd()"
    assert shell("customers", "people.csv") == 0
    told = capsys.readouterr()
    assert told.out.startswith("3 rows, 1 accepted, 2 rejected; records: 0 created, 0 updated, 1 unchanged; ")


def test_a_dry_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("customers", "people.csv", "--dry-run") == 0
    assert "dry run: nothing was written" in capsys.readouterr().out
    assert shell("customers", "people.csv", "--dry-run", "--json") == 0
    assert document(capsys)["records"]["created"] == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["customers", "gone.csv"], 1, ["gone.csv", "No such file"]),
        (["cats", "people.csv"], 2, ["cats", "service_visits"]),
        (["appliances", "people.csv"], 1, ["number, serial, category, model", "客户编号, 姓名, 手机"]),
        (["customers", "people.csv", "--mapping", "m.json"], 1, ["columns.emial", "external_id"]),
        (["orders", "people.csv", "--mapping", "c.json"], 1, ["c.json", "of customers, not of orders"]),
        (["customers", "people.csv", "--rejects", "no/where.csv"], 1, ["no/where.csv", "--rejects"]),
    ],
)
def test_what_is_wrong_is_one_clear_line(
    arguments: list[str], status: int, words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "m.json").write_text('{"columns": {"emial": "x"}}')
    (tmp_path / "c.json").write_text('{"kind": "customers", "columns": {"external_id": "客户编号"}}')
    assert shell(*arguments) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert all(word in told.err for word in words), told.err


def test_the_help_lists_the_transforms(capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("--help") == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("integer", "decimal", "datetime", "starts_with", "customers", "orders"))

"""`hearth segment count RULE.json`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import hearth
from customers.upsert import upsert
from runtime import terminal
from runtime.clock import utc_now
from runtime.house import open_house
from runtime.settings import Settings
from segments.store import create_segment


@pytest.fixture
def two_people(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two customers in the database that the command opens."""
    monkeypatch.setenv("HEARTH_DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("HEARTH_SECRET_KEY", str(settings.secret_key))
    monkeypatch.setenv("HEARTH_DATA_DIR", str(settings.data_dir))
    people = [{"external_id": "a", "city": "西安"}, {"external_id": "b"}]

    async def made() -> None:
        async with open_house(settings) as house, house.database.begin() as conn:
            await upsert(conn, "customers", people, settings=settings, now=utc_now())

    asyncio.run(made())


@pytest.mark.usefixtures("two_people")
@pytest.mark.parametrize(
    ("content", "status", "out", "err"),
    [
        ('{"all": []}', 0, {"count": 2}, "2"),
        ('{"field": "city", "op": "eq", "value": "西安"}', 0, {"count": 1}, "1"),
        (
            '{"all": [{"field": "town", "op": "empty"}]}',
            1,
            {
                "error": "all[0].field: unknown field 'town'",
                "errors": [{"path": "all[0].field", "message": "unknown field 'town'"}],
            },
            "hearth: all[0].field: unknown field 'town'",
        ),
    ],
)
def test_counting_the_rule_of_a_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    status: int,
    out: dict[str, object],
    err: str,
) -> None:
    file = tmp_path / "rule.json"
    file.write_text(content, encoding="utf-8")
    command = hearth.command_line()
    assert terminal.run(command, ["segment", "count", str(file), "--json"], "hearth") == status
    assert json.loads(capsys.readouterr().out) == out
    assert terminal.run(command, ["segment", "count", str(file)], "hearth") == status
    said = capsys.readouterr()
    assert (said.out or said.err).strip() == err


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{'all': []}", "line 1, column 2"), (b"\xff\xfe{", "is not UTF-8"), (b"[" * 100_000, "nests too deeply")],
)
def test_a_file_that_is_no_json_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    file = tmp_path / "rule.json"
    file.write_bytes(content)
    assert terminal.run(hearth.command_line(), ["segment", "count", str(file)], "hearth") == 1
    told = capsys.readouterr().err
    assert "rule.json" in told
    assert said in told


def test_a_file_that_is_not_there_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.run(hearth.command_line(), ["segment", "count", "/nowhere.json"], "hearth") == 2
    assert "/nowhere.json" in capsys.readouterr().err


@pytest.mark.usefixtures("two_people")
def test_refresh_tells_who_came_and_went(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("segment", "refresh") == 0
    assert "there are no segments" in capsys.readouterr().out

    async def change(number: int) -> None:
        async with open_house(settings) as house, house.database.begin() as conn:
            if number == 1:
                await create_segment(conn, "Town", {"field": "city", "op": "eq", "value": "西安"})
            else:
                people = [{"external_id": "b", "city": "西安"}]
                await upsert(conn, "customers", people, settings=settings, now=utc_now())

    asyncio.run(change(1))
    assert call("segment", "refresh") == 0
    assert "1 Town: 1 members; first evaluation (looked at everyone)" in capsys.readouterr().out
    asyncio.run(change(2))
    assert call("segment", "refresh", "1", "--json") == 0
    [told] = json.loads(capsys.readouterr().out)["items"]
    assert told == {"id": 1, "name": "Town", "number": 2, "size": 2, "entered": 1, "left": 0, "looked_at": 1}
    assert call("segment", "refresh", "--full") == 0
    assert "1 Town: 2 members; 0 entered, 0 left (looked at everyone)" in capsys.readouterr().out
    assert call("segment", "refresh", "99") == 1
    assert "there is no segment 99" in capsys.readouterr().err


def call(*arguments: str) -> int:
    return terminal.run(hearth.command_line(), arguments, "hearth")


@pytest.mark.usefixtures("two_people")
def test_ready_made_segments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("segment", "ready-made") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("at_risk orders=3 days=30") and line.endswith("quieter than usual") for line in lines)
    assert call("segment", "ready-made", "--json") == 0
    listed = json.loads(capsys.readouterr().out)["items"]
    assert len(listed) == len(lines)
    assert {"code", "intention", "name", "description", "advice", "parameters", "rule", "segment_id"} == set(listed[0])

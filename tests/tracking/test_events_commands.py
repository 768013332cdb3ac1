"""`hearth events retain` says what would leave, asks, does it once; `hearth returns read` takes mails alone."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert

import hearth
from runtime import terminal
from runtime.clock import utc_now
from runtime.database import Database
from runtime.settings import BadSetting, Settings, load_settings
from tests.tracking.people_with_mail import make_people
from tracking.models import events
from tracking.partitions import make_ahead


@pytest.fixture
def old(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Three events of two years ago, one of now."""
    for name, value in (
        ("HEARTH_DATABASE_URL", settings.database_url),
        ("HEARTH_SECRET_KEY", settings.secret_key),
        ("HEARTH_DATA_DIR", settings.data_dir),
    ):
        monkeypatch.setenv(name, str(value))

    async def filled() -> None:
        database, then = Database(str(settings.database_url)), utc_now() - timedelta(days=730)
        async with database.begin() as conn:
            await make_ahead(conn, then)
            [person] = await make_people(conn, 1)
            row = {"customer_id": person, "kind": "visit", "kind_folded": "visit"}
            rows = [{**row, "at": at, "key": uuid4()} for at in (then, then, then, utc_now())]
            await conn.execute(insert(events), rows)
        await database.close()

    asyncio.run(filled())
    return settings


def retain(*arguments: str) -> int:
    return terminal.run(hearth.command_line(), ["events", "retain", *arguments], "hearth")


def test_a_dry_run_a_question_and_the_deed(
    old: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retain("--months", "13", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "3 events from before" in said
    assert str(old.data_dir / "archive") in said
    assert said.endswith("dry run: nothing was changed\n")
    monkeypatch.setattr("sys.stdin", (tmp_path / "none").open("w+"))
    assert retain("--months", "13") == 1  # nobody says yes
    assert "stopped" in capsys.readouterr().err
    assert retain("--months", "13", "--archive", str(tmp_path / "kept"), "--yes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    [month] = [each for each in found["left"] if each["events"]]
    assert month["events"] == 3
    assert Path(month["file"]).parent == tmp_path / "kept"
    assert retain("--months", "13", "--yes") == 0
    assert "no events" in capsys.readouterr().out


def test_what_cannot_be_meant_is_refused(old: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert retain() == 2
    assert "HEARTH_EVENTS_MONTHS" in capsys.readouterr().err
    assert retain("--months", "3") == 1
    assert "at least 13" in capsys.readouterr().err
    assert retain("--months", "13", "--delete", "--archive", "x") == 2


def test_settings_of_retention(tmp_path: Path) -> None:
    def read(**given: str) -> Settings:
        return load_settings({f"HEARTH_{name}": value for name, value in given.items()}, tmp_path / "no.env")

    assert (read().events_months, read(DATA_DIR="/x").events_archive) == (None, Path("/x/archive"))
    assert read(EVENTS_MONTHS="24", EVENTS_ARCHIVE="none").events_archive is None
    assert read(EVENTS_MONTHS="24").events_months == 24
    for wrong in ("12", "x", "-1", "99999"):
        with pytest.raises(BadSetting, match="HEARTH_EVENTS_MONTHS"):
            read(EVENTS_MONTHS=wrong)


def test_what_is_no_mail_is_refused_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise, mail = tmp_path / "noise.bin", tmp_path / "mail.eml"
    noise.write_bytes(bytes(range(256)) * 4)
    mail.write_bytes(b"From: li@example.com\r\nSubject: Re: hello\r\n\r\nThank you\r\n")
    assert terminal.run(hearth.command_line(), ["returns", "read", str(noise)], "hearth") == 1
    said = capsys.readouterr().err
    assert "noise.bin" in said
    assert "no mail" in said
    assert terminal.run(hearth.command_line(), ["returns", "read", str(mail)], "hearth") == 0
    assert "reply" in capsys.readouterr().out

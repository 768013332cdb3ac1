"""`hearth campaign …`: what people type, what they read, what programs read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import hearth
from campaigns import store
from runtime import terminal
from runtime.house import House, open_house
from runtime.settings import Settings
from tests.campaigns.scene import add_people, body


@pytest.fixture
def campaign_id(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> int:
    """A draft to three people, in the database that the command opens."""
    monkeypatch.setenv("HEARTH_DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("HEARTH_SECRET_KEY", str(settings.secret_key))
    monkeypatch.setenv("HEARTH_DATA_DIR", str(settings.data_dir))

    async def made(house: House) -> int:
        async with house.database.begin() as conn:
            await add_people(conn, 3)
            return await store.create_campaign(conn, body(name="[Spring]"), settings=house.settings, by=None)

    async def opened() -> int:
        async with open_house(settings) as house:
            return await made(house)

    return asyncio.run(opened())


def hearth_command(*arguments: str) -> int:
    return terminal.run(hearth.command_line(), ["campaign", *arguments], "hearth")


def test_a_campaign_by_command(campaign_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    def said() -> str:
        return capsys.readouterr().out

    def document() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(said())
        return found

    assert hearth_command("list") == 0
    assert "[Spring]" in said()
    assert hearth_command("launch", str(campaign_id), "--json") == 0
    record = document()
    assert (record["state"], record["approval"]["audience"]) == ("preparing", 3)
    assert record["runs"][0]["occurrence"].count("T") == 1
    for verb, state in (("pause", "paused"), ("resume", "preparing"), ("cancel", "cancelled")):
        assert hearth_command(verb, str(campaign_id)) == 0
        assert said() == f"campaign {campaign_id} ([Spring]) is {state}\n"
    assert hearth_command("show", str(campaign_id)) == 0
    assert "no messages yet" in said()
    assert hearth_command("list", "--json") == 0
    assert [line["state"] for line in document()["items"]] == ["cancelled"]


def test_refusals_are_one_line(campaign_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert hearth_command("resume", str(campaign_id)) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"hearth: campaign {campaign_id} ([Spring]) is draft: to resume it, it must be paused\n"
    assert hearth_command("show", "99", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"] == "there is no campaign 99"
    assert hearth_command("show") == 2

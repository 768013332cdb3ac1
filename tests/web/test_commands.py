"""`hearth user create` and `hearth token create` over a real database, as a shell calls them."""

from __future__ import annotations

import asyncio
import json

import pytest

import hearth
from runtime import terminal
from runtime.clock import utc_now
from runtime.house import open_house
from runtime.settings import Settings
from web.passwords import password_matches
from web.sessions import token_viewer
from web.users import user_by_email


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.database_url is not None
    assert settings.secret_key is not None
    monkeypatch.setenv("HEARTH_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("HEARTH_SECRET_KEY", settings.secret_key)


def shell(*arguments: str) -> int:
    return terminal.run(hearth.command_line(), arguments, "hearth")


def test_a_user_is_made_with_a_one_time_password(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("user", "create", "a@example.com", "--role", "admin", "--json") == 0
    made = json.loads(capsys.readouterr().out)

    async def check() -> bool:
        async with open_house(settings) as house, house.database.connect() as conn:
            found = await user_by_email(conn, "A@example.com")
            assert found is not None
            assert (found.id, found.role, found.must_change_password) == (made["id"], "admin", True)
            return await password_matches(made["password"], found.password_hash)

    assert asyncio.run(check())
    assert shell("user", "create", "a@example.com", "--role", "admin") == 1
    assert capsys.readouterr().err == "hearth: There is already a user with the address a@example.com.\n"


def test_a_token_is_printed_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("token", "create", "the shop", "--role", "marketer") == 0
    [secret] = capsys.readouterr().out.split()

    async def role() -> str:
        async with open_house(settings) as house, house.database.connect() as conn:
            found = await token_viewer(conn, secret, utc_now())
            assert found is not None
            return found[0].role.value

    assert asyncio.run(role()) == "marketer"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ("user create a@example.com", 2, "--role"),
        ("user create a@example.com --role emperor", 2, "emperor"),
        ("user destroy", 2, "destroy"),
        ("user create nobody --role admin", 1, "email: This is not an e-mail address."),
        ("user create a@example.com --role salesperson", 1, "salesperson:"),
        ("token create x --role salesperson --salesperson s9", 1, "code s9"),
    ],
)
def test_misuse_is_told(arguments: str, status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell(*arguments.split()) == status
    assert said in capsys.readouterr().err

"""`hearth user create` and `hearth token create` over a real database, as a shell calls them."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from runtime.clock import utc_now
from runtime.errors import Conflict, Invalid
from runtime.house import open_house
from runtime.settings import Settings
from web.commands import token, user
from web.passwords import password_matches
from web.sessions import token_viewer
from web.users import user_by_email


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> CliRunner:
    assert settings.database_url is not None
    assert settings.secret_key is not None
    monkeypatch.setenv("HEARTH_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("HEARTH_SECRET_KEY", settings.secret_key)
    return CliRunner()


def test_a_user_is_made_with_a_one_time_password(shell: CliRunner, settings: Settings) -> None:
    result = shell.invoke(user, ["create", "a@example.com", "--role", "admin", "--json"])
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)

    async def check() -> bool:
        async with open_house(settings) as house, house.database.connect() as conn:
            found = await user_by_email(conn, "A@example.com")
            assert found is not None
            assert (found.id, found.role, found.must_change_password) == (made["id"], "admin", True)
            return await password_matches(made["password"], found.password_hash)

    assert asyncio.run(check())
    again = shell.invoke(user, ["create", "a@example.com", "--role", "admin"])
    assert isinstance(again.exception, Conflict)


def test_a_token_is_printed_alone(shell: CliRunner, settings: Settings) -> None:
    result = shell.invoke(token, ["create", "the shop", "--role", "marketer"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) == 1

    async def check() -> str:
        async with open_house(settings) as house, house.database.connect() as conn:
            found = await token_viewer(conn, result.stdout.strip(), utc_now())
            assert found is not None
            return found[0].role.value

    assert asyncio.run(check()) == "marketer"


@pytest.mark.parametrize(
    "arguments", [["create", "a@example.com"], ["create", "a@example.com", "--role", "emperor"], ["x"]]
)
def test_misuse_is_told(arguments: list[str], shell: CliRunner) -> None:
    assert shell.invoke(user, arguments).exit_code == 2


def test_a_bad_address_is_told(shell: CliRunner) -> None:
    result = shell.invoke(user, ["create", "nobody", "--role", "admin"])
    assert isinstance(result.exception, Invalid)
    assert "email" in str(result.exception)

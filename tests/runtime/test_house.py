"""Opening the house: the embedded database by itself, another one only if its schema and secret fit."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest
from sqlalchemy import text

from runtime.errors import Conflict
from runtime.house import open_house
from runtime.settings import BadSetting, Settings
from runtime.workspace import WrongSecret, lasting_key


async def test_embedded_house_makes_its_database_and_secret(settings: Settings) -> None:
    embedded = dataclasses.replace(settings, database_url=None, secret_key=None)
    async with open_house(embedded) as house, house.database.begin() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM workspace")) == 1
        fingerprints = house.signer.fingerprints
    async with open_house(embedded) as again:
        assert again.signer.fingerprints == fingerprints


async def test_lost_secret_stops_the_start(settings: Settings) -> None:
    embedded = dataclasses.replace(settings, database_url=None, secret_key=None)
    async with open_house(embedded):
        pass
    (settings.data_dir / "secret").unlink()
    with pytest.raises(WrongSecret, match="HEARTH_SECRET_KEY"):
        async with open_house(embedded):
            pass


@pytest.mark.parametrize(
    ("keys", "accepted"),
    [
        (["key-number-one-16", "key-number-two-16"], False),
        (["key-number-one-16", "key-number-one-16,key-number-two-16", "key-number-two-16"], True),
        (["key-number-one-16", "key-number-one-16,key-number-two-16", "key-number-one-16"], False),
    ],
    ids=["changed", "rotated", "back to the old one"],
)
async def test_secret_is_changed_only_by_rotation(settings: Settings, keys: list[str], accepted: bool) -> None:
    for key in keys[:-1]:
        async with open_house(dataclasses.replace(settings, secret_key=key)):
            pass
    last = dataclasses.replace(settings, secret_key=keys[-1])
    if accepted:
        async with open_house(last):
            return
    with pytest.raises(WrongSecret, match="HEARTH_SECRET_KEY"):
        async with open_house(last):
            pass


async def test_old_schema_is_refused_unless_upgrading(settings: Settings) -> None:
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    with pytest.raises(Conflict, match="hearth db upgrade"):
        async with open_house(settings):
            pass
    async with open_house(settings, upgrade=True):
        pass
    async with open_house(settings) as house, house.database.begin() as conn:
        key = await lasting_key(conn, "erasure")
    async with open_house(settings) as house, house.database.begin() as conn:
        assert await lasting_key(conn, "erasure") == key


async def test_a_setting_that_a_channel_cannot_use_stops_the_start(settings: Settings) -> None:
    """runtime/settings.py sees a good scheme and host; only the channel knows its options."""
    misspelt = dataclasses.replace(settings, smtp_url="smtp://mail.example?conections=3")
    with pytest.raises(BadSetting, match=r"^HEARTH_SMTP_URL: unknown option 'conections'"):
        async with open_house(misspelt):
            pass

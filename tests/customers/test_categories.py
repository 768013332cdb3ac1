"""Categories of appliances: whose are in use, and how expiry follows a change of their service life."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import text

from customers import reference
from customers.models import appliances
from customers.reference import (
    Category,
    appliances_in,
    categories_in_use,
    delete_category,
    expire_category_job,
    save_category,
)
from runtime.house import House
from tests.customers.door import Door


async def owned(door: Door) -> None:
    await door(
        "appliances",
        *(
            {"number": str(place), "customer": {"external_id": "A"}, "installed_on": "2020-02-29", **one}
            for place, one in enumerate([
                {"category": "refrigerator"},
                {"category": "Dryer", "status": "disposed"},
                {"category": "water_purifier", "next_consumable_due_on": "2027-01-01"},
                {"category": "spaceship", "next_consumable_due_on": "2027-01-01"},
            ])
        ),
    )  # fmt: skip


async def test_categories_in_use_are_those_that_somebody_has(door: Door) -> None:
    await owned(door)
    await save_category(door.conn, Category("water_purifier", "Water purifier"))
    assert [one.code for one in await categories_in_use(door.conn)] == ["refrigerator", "water_purifier"]
    assert [one.code for one in await categories_in_use(door.conn, with_consumables=True)] == ["water_purifier"]
    counted = await appliances_in(door.conn, ["refrigerator", "dryer", "dishwasher"])
    assert counted == {"refrigerator": 1, "dryer": 1, "dishwasher": 0}


async def test_few_appliances_follow_at_once(door: Door) -> None:
    await owned(door)
    assert await save_category(door.conn, Category("refrigerator", "Fridge", service_years=Decimal("1.5")))
    assert (await door.one(appliances, appliances.c.number == "0"))["expires_on"] == date(2021, 8, 29)
    assert await delete_category(door.conn, "refrigerator")
    assert (await door.one(appliances, appliances.c.number == "0"))["expires_on"] is None


async def test_many_appliances_follow_in_a_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MANY", 0)
    async with house.database.begin() as conn:
        door = Door(conn, house.settings)
        await owned(door)
        before = (await door.one(appliances, appliances.c.number == "0"))["expires_on"]
        assert not await save_category(conn, Category("refrigerator", "Fridge", service_years=Decimal(1)))
        assert (await door.one(appliances, appliances.c.number == "0"))["expires_on"] == before
        waiting = await conn.execute(
            text("SELECT args FROM procrastinate_jobs WHERE task_name LIKE '%expire_category'")
        )
        assert [args["code"] for args in waiting.scalars()] == ["refrigerator"]
    await expire_category_job(house, code="refrigerator")
    async with house.database.connect() as conn:
        found = await Door(conn, house.settings).one(appliances, appliances.c.number == "0")
    assert found["expires_on"] == date(2021, 2, 28)


async def test_an_appliance_that_is_being_written_follows_too(house: House) -> None:
    async def save() -> None:
        async with house.database.begin() as conn:
            await save_category(conn, Category("refrigerator", "Fridge", service_years=Decimal(1)))

    async with house.database.begin() as conn:
        await owned(Door(conn, house.settings))
        saving = asyncio.create_task(save())
        await asyncio.wait({saving}, timeout=0.5)
    await saving
    async with house.database.connect() as conn:
        found = await Door(conn, house.settings).one(appliances, appliances.c.number == "0")
    assert found["expires_on"] == date(2021, 2, 28)

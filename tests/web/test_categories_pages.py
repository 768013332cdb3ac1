"""Appliance categories in the console and over the API: their service life moves the expiry of appliances."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select

from customers.models import appliances
from runtime.house import House
from tests.web.conftest import OpenApi, SignIn
from tests.web.scene import WANG, invalid_fields, put, text_of, value_of
from tests.web.test_api_frame import problem

FRIDGE = {"code": "refrigerator", "name": "Fridge", "name_zh": "冰箱", "service_years": "12.5", "source": "ours"}


@pytest.fixture
async def fridge(house: House) -> None:
    await put(house, "customers", WANG)
    owner = {"customer": {"external_id": "C1"}}
    await put(house, "appliances", {**owner, "number": "1", "category": "refrigerator", "installed_on": "2020-01-31"})


async def expiry(house: House) -> date | None:
    async with house.database.connect() as conn:
        found: date | None = await conn.scalar(select(appliances.c.expires_on))
    return found


@pytest.mark.usefixtures("fridge")
async def test_a_changed_service_life_moves_the_expiry(sign_in: SignIn, house: House) -> None:
    assert await expiry(house) == date(2030, 1, 31)
    client = await sign_in("marketer")
    listed = text_of(await client.get("/categories"))
    assert "Refrigerator 冰箱 refrigerator 10 years 1" in listed
    form = await client.get("/categories/edit?code=refrigerator")
    assert value_of(form, "service_years") == "10"
    assert "1 appliance on record" in text_of(form)
    assert (await client.post("/categories/edit", data=FRIDGE)).headers["location"] == "/categories"
    assert await expiry(house) == date(2032, 7, 31)
    assert "Fridge" in text_of(await client.get("/categories"))
    assert (await client.post("/categories/edit", data={**FRIDGE, "service_years": ""})).status_code == 303
    assert await expiry(house) is None
    assert "冰箱" in text_of(await (await sign_in("analyst", language="zh")).get("/categories"))


async def test_a_category_is_added(sign_in: SignIn) -> None:
    client = await sign_in("marketer")
    made = await client.post("/categories/new", data={"code": "air_purifier", "name": "Air purifier"})
    assert made.status_code == 303
    assert "Air purifier air_purifier not set" in text_of(await client.get("/categories"))
    taken = await client.post("/categories/new", data={"code": "air_purifier", "name": "Other"})
    assert invalid_fields(taken) == {"code"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("service_years", value) for value in ("0", "-1", "101", "NaN", "Infinity", "ten", "1e9")),
        ("name", ""),
    ],
)
async def test_what_is_no_category_is_refused(sign_in: SignIn, field: str, value: str) -> None:
    client = await sign_in("admin")
    assert invalid_fields(await client.post("/categories/edit", data={**FRIDGE, field: value})) == {field}


async def test_analysts_look_only(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    assert "/categories/edit" not in (await analyst.get("/categories")).text
    assert (await analyst.post("/categories/edit", data=FRIDGE)).status_code == 403
    assert (await (await sign_in("salesperson", salesperson="s1")).get("/categories")).status_code == 403
    assert (await (await sign_in("admin")).get("/categories/edit?code=yacht")).status_code == 404


@pytest.mark.usefixtures("fridge")
async def test_the_api_lists_and_saves(api: OpenApi, house: House) -> None:
    client = await api("marketer")
    listed = {one["code"]: one for one in (await client.get("/appliance-categories")).json()["items"]}
    assert (listed["refrigerator"]["appliances"], float(listed["refrigerator"]["service_years"])) == (1, 10)
    saved = await client.post("/appliance-categories", json=FRIDGE)
    assert (saved.status_code, saved.json()["service_years"]) == (200, "12.5")
    assert await expiry(house) == date(2032, 7, 31)
    problem(await client.post("/appliance-categories", json={**FRIDGE, "service_years": 0}), 422)
    problem(await (await api("analyst")).post("/appliance-categories", json=FRIDGE), 403)

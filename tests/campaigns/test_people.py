"""What a template sees: loaded for many at once, and how many would see nothing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.audience import matched_appliances
from campaigns.content import names
from campaigns.missing import count_missing
from campaigns.people import RECORDS, SINGLE, Setting, load_people
from customers.models import (
    activity,
    appliances,
    communities,
    customers,
    dealers,
    households,
    order_items,
    orders,
    salespeople,
)
from runtime.clock import utc_now
from segments.context import EvaluationContext
from tests.campaigns.scene import add_people

TODAY = date(2026, 5, 1)
OLD_AIR = {
    "rule": {
        "has": "appliances",
        "where": {"all": [{"field": "category", "op": "eq", "value": "air_conditioner"}]},
    },
    "exclude": [],
}


def appliance(customer_id: int, number: str, category: str, installed: str | None, **more: object) -> dict[str, Any]:
    day = None if installed is None else date.fromisoformat(installed)
    row = {"customer_id": customer_id, "number": number, "category": category, "category_folded": category}
    return {**row, "installed_on": day, "status": "in_use", "brand": f"B{number}", **more}


def order(customer_id: int, number: str, day: int) -> dict[str, Any]:
    at = utc_now().replace(year=2026, month=4, day=day)
    return {"customer_id": customer_id, "number": number, "status": "completed", "ordered_at": at, "amount": day}


@pytest.fixture
async def people(conn: AsyncConnection) -> list[int]:
    first, second, third = await add_people(conn, 3)
    values = {
        "community": "c1",
        "salesperson": "s1",
        "dealer": "d1",
        "household_size": 4,
        "attributes": {"color": "red"},
    }
    home = (
        await conn.execute(insert(households).values(key="k", address="1 Road").returning(households.c.id))
    ).scalar()
    await conn.execute(update(customers).where(customers.c.id == first).values(household_id=home, **values))
    await conn.execute(insert(communities).values(code="c1", name="Garden"))
    await conn.execute(insert(salespeople).values(code="s1", name="Li", phone="+86", email="li@x.example"))
    await conn.execute(insert(dealers).values(code="d1", name="Dealer"))
    await conn.execute(update(activity).where(activity.c.customer_id == first).values(total_spent=9, rfm_recency=5))
    rows = [
        appliance(first, "1", "fridge", "2010-01-01"),
        appliance(first, "2", "air_conditioner", "2015-01-01"),
        appliance(first, "3", "air_conditioner", "2014-01-01"),
        appliance(second, "1", "fridge", "2012-01-01", status="replaced"),
        appliance(second, "2", "fridge", "2016-01-01"),
        appliance(second, "3", "washer", None),
    ]
    for row in rows:
        await conn.execute(insert(appliances).values(row))
    await conn.execute(insert(orders), [order(first, "A", 1), order(first, "B", 9), order(second, "C", 5)])
    for position, sku in enumerate(("x", "y")):
        line = {"customer_id": first, "order_number": "B", "position": position, "sku": sku, "status": "completed"}
        await conn.execute(insert(order_items).values(**line, ordered_at=utc_now(), price=3))
    return [first, second, third]


async def test_everything_there_is(conn: AsyncConnection, people: list[int]) -> None:
    fields = {
        "customer.name",
        "customer.attributes.color",
        "customer.total_spent",
        "customer.rfm.recency",
        "salesperson.name",
        "dealer.name",
        "household.size",
        "household.address",
        "household.community",
        "appliance.brand",
        "appliances.category",
        "order.number",
        "orders.items.sku",
        "orders.amount",
        "campaign.name",
        "today",
    }
    found = await load_people(conn, people, fields, Setting("Spring", TODAY))
    first, second, third = (found[customer_id] for customer_id in people)
    assert first["customer"] == {
        "name": "Person 1",
        "attributes": {"color": "red"},
        "total_spent": Decimal(9),
        "rfm": {"recency": 5, "frequency": None, "monetary": None},
    }
    assert first["household"] == {"size": 4, "address": "1 Road", "community": "Garden"}
    assert (first["salesperson"]["name"], first["dealer"]["name"]) == ("Li", "Dealer")
    assert first["appliance"] == {"brand": "B1"}
    assert [one["category"] for one in first["appliances"]] == ["fridge", "air_conditioner", "air_conditioner"]
    assert first["order"] == {"number": "B", "items": []}
    assert [(one["amount"], [item["sku"] for item in one["items"]]) for one in first["orders"]] == [
        (Decimal(9), ["x", "y"]),
        (Decimal(1), []),
    ]
    assert (first["campaign"], first["today"]) == ({"name": "Spring"}, TODAY)
    assert second["appliance"] == {"brand": "B2"}
    assert (third["appliance"], third["appliances"], third["order"], third["orders"]) == (None, [], None, [])
    assert third["salesperson"] == {"name": None}


async def test_the_appliance_is_the_oldest_that_the_rule_matched(conn: AsyncConnection, people: list[int]) -> None:
    context = EvaluationContext(utc_now(), "UTC")
    setting = Setting("x", TODAY, await matched_appliances(conn, OLD_AIR, context))
    found = await load_people(conn, people, {"appliance.number"}, setting)
    assert [found[customer_id]["appliance"] for customer_id in people] == [{"number": "3"}, {"number": "2"}, None]


async def test_how_many_would_see_nothing(conn: AsyncConnection, people: list[int]) -> None:
    everybody = {"rule": {"all": []}, "exclude": []}
    fields = {
        "customer.name",
        "customer.attributes.color",
        "salesperson.name",
        "appliance.brand",
        "order.number",
        "today",
    }
    context = EvaluationContext(utc_now(), "UTC")
    found = await count_missing(conn, everybody, fields | {"appliances.brand", "customer.tags"}, context)
    assert found.people == 2
    assert found.fields == {
        "customer.attributes.color": 2,
        "salesperson.name": 2,
        "appliance.brand": 1,
        "order.number": 1,
    }
    assert (await count_missing(conn, everybody, {"today", "orders.number"}, context)).people == 0


def test_all_names_of_templates_can_be_loaded() -> None:
    """The content's list of names and the loader's agree."""
    for group, shape in names.shapes().items():
        record = shape.item if isinstance(shape, names.Listing) else shape
        if group in ("campaign", "today", "links") or not isinstance(record, names.Record):
            continue
        known = {**SINGLE, **RECORDS}[group]
        assert set(record.parts) - {"items"} <= set(known), group

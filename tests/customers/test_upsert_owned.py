from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import activity, appliances, customers, order_items, orders, service_visits
from customers.reference import Category, list_categories, save_category
from tests.customers.door import Door

CUP = {"sku": "C1", "name": "Cup", "quantity": 2, "price": "10.005", "cost": 4}
LID = {"sku": "L1", "name": "Lid", "quantity": 1, "price": "5"}
ORDER = {
    "number": "N1",
    "customer": {"external_id": "A", "email": "a@example.com"},
    "platform": "Ｔmall",
    "status": "completed",
    "ordered_at": "2026-03-05T10:00:00+08:00",
    "items": [CUP, LID, LID],
}


async def test_an_order_with_items_and_what_activity_knows_of_it(door: Door) -> None:
    result = await door("orders", ORDER)
    assert (result.created, result.ids) == (1, [1])
    order = await door.one(orders)
    assert (order["amount"], order["items_count"], order["platform_folded"]) == (Decimal("30.01"), 3, "tmall")
    assert order["margin"] == Decimal("12.01")  # the cups only: the lids' cost is not known
    items = await door.all(order_items)
    assert [(item["sku"], item["amount"], item["status"]) for item in items] == [
        ("C1", Decimal("20.01"), "completed"),
        ("L1", Decimal(5), "completed"),
        ("L1", Decimal(5), "completed"),
    ]
    known = await door.one(activity)
    assert (known["orders_count"], known["total_spent"], known["gross_margin"]) == (
        1,
        Decimal("30.01"),
        Decimal("12.01"),
    )
    assert known["first_order_at"] == known["last_order_at"] == datetime(2026, 3, 5, 2, 0, tzinfo=UTC)


async def test_an_order_is_delivered_later(door: Door) -> None:
    await door("orders", ORDER)
    assert (await door.one(orders))["delivered_at"] is None
    later = {"number": "N1", "customer": ORDER["customer"], "delivered_at": "2026-03-08T15:00:00+08:00"}
    assert (await door("orders", later)).updated == 1
    order = await door.one(orders)
    assert order["delivered_at"] == datetime(2026, 3, 8, 7, tzinfo=UTC)
    assert (order["status"], order["items_count"]) == ("completed", 3)


async def test_the_same_order_again_changes_nothing(door: Door) -> None:
    await door("orders", ORDER)
    before = await door.all(orders), await door.all(order_items), await door.all(customers)
    assert (await door("orders", ORDER, ORDER)).unchanged == 2
    assert (await door.all(orders), await door.all(order_items), await door.all(customers)) == before


async def test_items_are_replaced_as_a_set_and_repeated_ones_stay(door: Door) -> None:
    await door("orders", ORDER)
    assert (await door("orders", {**ORDER, "items": [LID, LID]})).updated == 1
    assert [item["sku"] for item in await door.all(order_items)] == ["L1", "L1"]
    assert (await door.one(orders))["amount"] == 10
    assert (await door.one(orders))["margin"] is None


async def test_a_status_alone_leaves_the_items_and_reaches_them(door: Door) -> None:
    await door("orders", ORDER)
    change = {"number": "N1", "customer": {"external_id": "A"}, "status": "已取消"}
    assert (await door("orders", change)).updated == 1
    assert {item["status"] for item in await door.all(order_items)} == {"cancelled"}
    assert (await door.one(activity))["orders_count"] == 0
    assert (await door.one(activity))["total_spent"] == 0


@pytest.mark.parametrize(
    ("given", "status", "refunded", "spent", "margin"),
    [
        ({"status": "refunded"}, "refunded", "30.01", 0, None),
        ({"status": "refunded", "refunded": "10"}, "partly_refunded", "10", "20.01", "5.3422"),
        ({"refunded": "10"}, "completed", "10", "20.01", "5.3422"),
        ({"status": "pending"}, "pending", "0", 0, None),
    ],
)
async def test_refunds(door: Door, given: Any, status: str, refunded: str, spent: Any, margin: str | None) -> None:
    await door("orders", {**ORDER, **given})
    order, known = await door.one(orders), await door.one(activity)
    assert (order["status"], order["refunded"]) == (status, Decimal(refunded))
    assert known["total_spent"] == Decimal(spent)
    assert known["gross_margin"] == (None if margin is None else Decimal(margin))
    assert (await door("orders", {**ORDER, **given})).unchanged == 1


@pytest.mark.parametrize(
    ("record", "path", "word"),
    [
        ({**ORDER, "customer": {"external_id": "B"}}, "number", "belongs to customer 1 (external_id 'A')"),
        ({**ORDER, "customer": {}}, "customer", "no customer is named"),
        ({**ORDER, "number": None}, "number", "required"),
        ({**ORDER, "customer": {"email": "nonsense"}}, "customer.email", "not an e-mail"),
        ({**ORDER, "items": [CUP, {"price": "x"}]}, "items[1].price", "not a number"),
        ({**ORDER, "items": [{"price": "999999999999", "quantity": 10}]}, "items[0]", "out of range"),
        ({"number": "N2", "customer": {"external_id": "A"}, "amount": 1}, "ordered_at", "required"),
        ({"number": "N2", "customer": {"external_id": "A"}, "ordered_at": "2026-01-01"}, "amount", "no items"),
        ({**ORDER, "status": "lost"}, "status", "none of completed"),
    ],
)
async def test_refused_orders_name_the_culprit(door: Door, record: Any, path: str, word: str) -> None:
    await door("orders", ORDER)
    result = await door("orders", record)
    assert result.accepted == 0
    assert [problem.path for problem in result.rejected[0].problems] == [path]
    assert word in result.rejected[0].problems[0].message


async def test_what_an_order_says_of_its_customer_only_fills_gaps(door: Door) -> None:
    await door("customers", {"external_id": "A", "city": "西安"})
    named = {"external_id": "A", "city": "Bath", "name": "An", "attributes": {"country": "UK"}}
    assert (await door("orders", {**ORDER, "customer": named})).created == 1
    customer = await door.one(customers)
    assert (customer["city"], customer["name"], customer["attributes"]) == ("西安", "An", {"country": "UK"})


async def test_activity_folds_all_orders_of_a_customer(door: Door) -> None:
    who = {"customer": {"external_id": "A"}}
    await door(
        "orders",
        {**who, "number": "1", "ordered_at": "2026-01-01T00:00:00Z", "amount": 10},
        {**who, "number": "2", "ordered_at": "2026-02-01T00:00:00Z", "amount": "20.5"},
        {**who, "number": "3", "ordered_at": "2026-03-01T00:00:00Z", "amount": -5, "status": "cancelled"},
    )
    known = await door.one(activity)
    assert (known["orders_count"], known["total_spent"]) == (2, Decimal("30.5"))
    assert known["average_order_value"] == Decimal("15.25")
    assert known["gross_margin"] is None
    assert known["last_order_at"] == datetime(2026, 2, 1, tzinfo=UTC)


AIRCON = {
    "number": "AP1",
    "serial": "SN-1",
    "customer": {"external_id": "A"},
    "category": "空调",
    "brand": "Gree",
    "installed_on": "2016/5/31",
}


async def test_an_appliance_expires_by_its_categorys_service_life(door: Door, conn: AsyncConnection) -> None:
    assert (await door("appliances", AIRCON)).created == 1
    row = await door.one(appliances)
    assert (row["category"], row["status"], row["expires_on"]) == ("air_conditioner", "in_use", date(2026, 5, 31))
    assert (await door("appliances", AIRCON)).unchanged == 1
    await save_category(conn, Category("air_conditioner", "Air conditioner", "空调", Decimal("14.75")))
    assert (await door.one(appliances))["expires_on"] == date(2031, 2, 28)
    years = {category.code: category.service_years for category in await list_categories(conn)}
    assert years["gas_water_heater"] == Decimal("14.5")


@pytest.mark.parametrize(
    ("records", "numbers", "rejected"),
    [
        ([AIRCON, {"serial": "SN-1", "customer": {"external_id": "A"}, "model": "K1"}], ["AP1"], 0),
        ([{**AIRCON, "number": None}, AIRCON], ["SN-1"], 1),
        ([AIRCON, {**AIRCON, "number": "AP2"}], ["AP1"], 1),
        ([AIRCON, {**AIRCON, "customer": {"external_id": "B"}}], ["AP1"], 1),
        ([AIRCON, {**AIRCON, "serial": "SN-2", "customer": {"external_id": "B"}}], ["AP1"], 1),
        ([AIRCON, {**AIRCON, "number": "AP2", "serial": "SN-2"}], ["AP1", "AP2"], 0),
        ([{"customer": {"external_id": "A"}, "brand": "Gree"}], [], 1),
        ([{**AIRCON, "purchased_on": "2020-01-01"}], [], 1),
    ],
)
async def test_appliances_are_known_by_number_else_serial(
    door: Door, records: list[Any], numbers: list[str], rejected: int
) -> None:
    for one_by_one in (True, False):
        results = [await door("appliances", record) for record in records] if one_by_one else []
        results = results or [await door("appliances", *records)]
        assert sum(len(result.rejected) for result in results) == rejected
        assert [row["number"] for row in await door.all(appliances)] == numbers


async def test_an_appliance_without_number_or_serial_is_the_same_one_again(door: Door) -> None:
    record = {"customer": {"external_id": "A"}, "category": "fridge", "brand": "Haier", "purchased_on": "2020-01-01"}
    assert (await door("appliances", record)).created == 1
    assert (await door("appliances", {**record, "brand": "HAIER"})).updated == 1
    assert len(await door.all(appliances)) == 1


async def test_completed_repairs_are_counted_on_the_appliance(door: Door) -> None:
    who = {"customer": {"external_id": "A"}, "appliance": "SN-1"}
    await door("appliances", AIRCON)
    result = await door(
        "service_visits",
        {**who, "number": "V1", "kind": "维修", "status": "已完成", "completed_at": "2024-01-01"},
        {**who, "number": "V2", "kind": "repair", "status": "requested"},
        {**who, "kind": "cleaning", "status": "completed", "visited_at": "2024-02-01 10:00"},
        {**who, "kind": "cleaning"},
    )
    assert (result.created, len(result.rejected)) == (3, 1)
    assert (await door.one(appliances))["repairs_count"] == 1
    assert {row["appliance_number"] for row in await door.all(service_visits)} == {"AP1"}
    change = {"number": "V2", "customer": {"external_id": "A"}, "status": "completed"}
    assert (await door("service_visits", change)).updated == 1
    assert (await door.one(appliances))["repairs_count"] == 2

"""The generated dealer is the same for the same seed and day, hangs together, and looks like one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.addresses import read_email, read_phone
from customers.schemas import APPLIANCE, CUSTOMER, ORDER, ORDER_ITEM, PRODUCT, SALESPERSON, SERVICE_VISIT, Schema, clean
from customers.values import Context
from demo.dealer import Dealer, make_dealer
from demo.places import COMMUNITIES, door, home_address

TODAY = date(2026, 11, 22)
CONTEXT = Context(ZoneInfo("Asia/Shanghai"), "CN")


@cache
def whole() -> Dealer:
    return make_dealer(TODAY)


def digest(dealer: Dealer) -> str:
    return hashlib.sha256(json.dumps(dataclasses.asdict(dealer)).encode()).hexdigest()


def test_the_same_seed_and_day_give_the_same_dealer() -> None:
    assert digest(make_dealer(TODAY, households=80, seed=7)) == digest(make_dealer(TODAY, households=80, seed=7))
    assert digest(make_dealer(TODAY, households=80, seed=7)) != digest(make_dealer(TODAY, households=80, seed=8))


def test_the_numbers_that_the_readme_promises() -> None:
    dealer = whole()
    homes = {(record["community"], record["address"]) for record in dealer.customers}
    assert len(homes) == 5_000
    assert len(dealer.appliances) == 14_000
    assert len(dealer.communities) == 8
    per_person = Counter(record["salesperson"] for record in dealer.customers if "-" not in record["external_id"])
    assert set(per_person.values()) == {500}
    assert len(per_person) == 10
    first = min(datetime.fromisoformat(order["ordered_at"]).date() for order in dealer.orders)
    assert timedelta(days=2.9 * 365) < TODAY - first < timedelta(days=3.1 * 365)


def test_shares_look_like_a_market() -> None:
    dealer = whole()
    agreed = [record for record in dealer.customers if record["consents"] and record["consents"][-1]["granted"]]
    assert 0.86 < len(agreed) / len(dealer.customers) < 0.94
    assert any(len(record["consents"]) == 2 and not record["consents"][1]["granted"] for record in dealer.customers)
    assert 0.02 < sum(record["email"] is None for record in dealer.customers) / len(dealer.customers) < 0.15
    brands = Counter(one["brand"] for one in dealer.appliances if one["category"] == "air_conditioner")
    assert {brand for brand, _ in brands.most_common(2)} == {"Gree", "Midea"}
    assert {order["status"] for order in dealer.orders} >= {"completed", "cancelled", "refunded", "partly_refunded"}
    old = [one for one in dealer.appliances if one["category"] == "air_conditioner" and _years(one) > 8]
    assert 500 < len({one["customer"]["external_id"] for one in old if one["status"] == "in_use"}) < 1_500


def _years(appliance: dict[str, Any]) -> float:
    return (TODAY - date.fromisoformat(appliance["purchased_on"])).days / 365.25


@given(seed=st.integers(0, 2**32), households=st.integers(1, 40), day=st.dates(date(2020, 1, 1), date(2040, 12, 31)))
def test_any_dealer_hangs_together(seed: int, households: int, day: date) -> None:
    dealer = make_dealer(day, households=households, seed=seed)
    people = {record["external_id"] for record in dealer.customers}
    appliances = {record["number"] for record in dealer.appliances}
    orders = {record["number"] for record in dealer.orders}
    assert len(people) == len(dealer.customers)
    assert len(appliances) == len(dealer.appliances) == round(households * 2.8)
    emails = [record["email"] for record in dealer.customers if record["email"]]
    assert len(emails) == len(set(emails))
    for record in (*dealer.appliances, *dealer.orders, *dealer.service_visits):
        assert record["customer"]["external_id"] in people
    assert {one["order_number"] for one in dealer.appliances} - {None} <= orders
    assert {one["appliance"] for one in dealer.service_visits} <= appliances
    for order in dealer.orders:
        items = order["items"]
        assert sum(Decimal(item["price"]) * item["quantity"] for item in items) == Decimal(order["amount"])
        assert Decimal(order["refunded"]) <= Decimal(order["amount"])
        assert datetime.fromisoformat(order["ordered_at"]).date() < day
    for one in dealer.appliances:
        assert (
            date.fromisoformat(one["purchased_on"]) <= date.fromisoformat(one["installed_on"] or day.isoformat()) <= day
        )


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("customers", CUSTOMER),
        ("orders", ORDER),
        ("appliances", APPLIANCE),
        ("service_visits", SERVICE_VISIT),
        ("products", PRODUCT),
        ("salespeople", SALESPERSON),
    ],
)
def test_records_are_what_the_records_room_takes(kind: str, schema: Schema) -> None:
    for record in getattr(whole(), kind)[:400]:
        assert clean(record, schema, CONTEXT)[1] == []
        for item in record.get("items", ()):
            assert clean(item, ORDER_ITEM, CONTEXT)[1] == []


def test_addresses_are_valid_and_belong_to_nobody() -> None:
    for record in whole().customers:
        assert read_phone(record["phone"], CONTEXT) == f"+86{record['phone']}"
        assert record["phone"][3:7] == "0000"
        if record["email"]:
            assert read_email(record["email"], CONTEXT) == record["email"]
            assert record["email"].endswith(".example")


def test_no_two_homes_share_a_door() -> None:
    for community in COMMUNITIES:
        homes = community.buildings * community.units * community.floors * community.doors
        assert len({door(community, index) for index in range(homes)}) == homes
        assert len({home_address(community, index) for index in range(2 * homes)}) == 2 * homes

"""Orders, appliances, service visits, events and coded records over the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.web.conftest import OpenApi
from tests.web.test_api_frame import problem

CUSTOMER = {"external_id": "C1"}
ORDER = {
    "number": "N1",
    "customer": CUSTOMER,
    "platform": "天猫",
    "status": "completed",
    "ordered_at": "2026-10-01T10:00:00+08:00",
    "items": [{"sku": "F1", "name": "Filter", "quantity": 2, "price": "49.95", "cost": "20"}],
}
APPLIANCE = {
    "number": "A1",
    "customer": CUSTOMER,
    "category": "air_conditioner",
    "brand": "Gree",
    "model": "KFR-35",
    "installed_on": "2015-05-01",
    "status": "in_use",
}
VISIT = {"number": "V1", "customer": CUSTOMER, "kind": "repair", "status": "completed", "completed_at": "2026-09-01"}
EVENT = {"key": "e1", "customer": CUSTOMER, "kind": "showroom_visit", "at": "2026-10-02T10:00:00+08:00"}


@pytest.mark.parametrize(
    ("path", "record"), [("orders", ORDER), ("appliances", APPLIANCE), ("service-visits", VISIT), ("events", EVENT)]
)
async def test_records_are_upserted_by_their_own_number(api: OpenApi, path: str, record: Any) -> None:
    client = await api("marketer")
    await client.post("/customers", json=CUSTOMER)
    first = await client.post(f"/{path}", json=record)
    assert first.status_code == 200, first.text
    assert set(first.json()) == {"accepted", "rejected", "records", "ids"}
    assert first.json()["records"] == {"created": 1, "updated": 0, "unchanged": 0}
    again = await client.post(f"/{path}", json={"items": [record, record]})
    assert (again.json()["accepted"], again.json()["records"]["created"]) == (2, 0)


@pytest.mark.parametrize(
    ("path", "record"), [("orders", ORDER), ("appliances", APPLIANCE), ("service-visits", VISIT), ("events", EVENT)]
)
async def test_a_record_without_a_customer_is_rejected_by_index(api: OpenApi, path: str, record: Any) -> None:
    nobodys = {name: value for name, value in record.items() if name != "customer"}
    answer = (await (await api()).post(f"/{path}", json={"items": [record, nobodys]})).json()
    assert answer["rejected"][-1]["index"] == 1
    assert {error["path"].split(".")[0] for error in answer["rejected"][-1]["errors"]} == {"customer"}


async def test_an_order_shows_in_what_is_known_of_its_customer(api: OpenApi) -> None:
    client = await api("marketer")
    [customer_id] = (await client.post("/customers", json=CUSTOMER)).json()["ids"]
    await client.post("/orders", json=ORDER)
    await client.post("/appliances", json=APPLIANCE)
    found = (await client.get(f"/customers/{customer_id}")).json()
    assert found["activity"]["orders_count"] == 1
    assert isinstance(found["activity"]["total_spent"], str)
    assert Decimal(found["activity"]["total_spent"]) == Decimal("99.90")
    assert Decimal(found["activity"]["gross_margin"]) == Decimal("59.90")
    [appliance] = found["appliances"]
    assert (appliance["brand"], appliance["installed_on"], appliance["status"]) == ("Gree", "2015-05-01", "in_use")
    kinds = {one["kind"] for one in (await client.get(f"/customers/{customer_id}/timeline")).json()["items"]}
    assert kinds == {"order", "appliance_installed"}


@pytest.mark.parametrize("path", ["salespeople", "dealers", "communities", "products"])
async def test_coded_records_are_upserted_by_code(api: OpenApi, path: str) -> None:
    client = await api("marketer")
    made = (await client.post(f"/{path}", json={"code": "X", "name": "First"})).json()
    assert made["records"]["created"] == 1
    named = (await client.post(f"/{path}", json={"code": "X", "name": "Second"})).json()
    assert (named["records"]["updated"], named["ids"]) == (1, made["ids"])
    [rejected] = (await client.post(f"/{path}", json={"name": "no code"})).json()["rejected"]
    assert rejected["errors"][0]["path"] == "code"


async def test_unknown_codes_are_made_by_code_alone(api: OpenApi) -> None:
    client = await api("marketer")
    await client.post("/customers", json={**CUSTOMER, "salesperson": "s7"})
    [found] = (await client.get("/salespeople")).json()["items"]
    assert (found["code"], found["name"]) == ("s7", None)


async def test_only_marketers_write_records(api: OpenApi) -> None:
    for role in ("analyst", "salesperson"):
        client = await api(role, "s1")
        for path in ("orders", "appliances", "service-visits", "events", "salespeople", "dealers", "products"):
            problem(await client.post(f"/{path}", json={}), 403)

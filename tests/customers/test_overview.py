"""The workspace at a glance."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from customers import overview
from customers.merging import merge
from customers.suppressions import SuppressedAddress, Suppression, suppress, suppress_addresses
from runtime.registry import ChannelKind
from tests.customers.door import NOW, Door

EMAIL = ChannelKind("email", "email")


def person(name: str, salesperson: str, **more: Any) -> dict[str, Any]:
    consent = {"channel": "email", "source": "shop", "granted": True}
    return {
        "external_id": name, "email": f"{name}@example.com", "salesperson": salesperson, "consents": [consent], **more
    }  # fmt: skip


async def totals(door: Door, salesperson: str | None = None) -> overview.Totals:
    since = NOW - timedelta(days=30)
    return await overview.totals(door.conn, since=since, now=NOW, channel=EMAIL, salesperson=salesperson)


async def test_an_empty_workspace(door: Door) -> None:
    assert await totals(door) == overview.Totals(0, 0, 0, 0, Decimal(0))


async def test_reachable_are_those_whom_a_campaign_would_write_to(door: Door) -> None:
    await door(
        "customers",
        person("a", "S1"),
        person("b", "S2"),
        person("c", "S1", consents=[]),
        person("bounced", "S1"),
        person("manual", "S1"),
        person("merged", "S2"),
    )
    await suppress_addresses(door.conn, [SuppressedAddress("email", "bounced@example.com", "bounced", NOW)])
    await suppress(door.conn, [Suppression(5, "email", "manual", NOW)])
    await merge(door.conn, 2, 6, now=NOW)
    assert [(found.customers, found.reachable) for found in (await totals(door), await totals(door, "S1"))] == [
        (5, 2),
        (4, 1),
    ]


async def test_what_was_bought_lately_and_is_owned(door: Door) -> None:
    await door("customers", person("a", "S1"), person("b", "S2"))
    orders = [("1", "a", 5, "completed", 0), ("2", "a", 40, "completed", 0), ("3", "b", 5, "cancelled", 0),
              ("4", "b", 6, "completed", 30)]  # fmt: skip
    for number, who, days, status, refunded in orders:
        at = (NOW - timedelta(days=days)).isoformat()
        order = {"number": number, "customer": {"external_id": who}, "ordered_at": at, "status": status}
        assert (await door("orders", {**order, "amount": "100", "refunded": str(refunded)})).accepted == 1
    for who, status in (("a", "in_use"), ("a", "disposed"), ("b", "in_use")):
        owned = {"number": who + status, "category": "fridge", "status": status}
        await door("appliances", {"customer": {"external_id": who}, **owned})
    everybody, first = await totals(door), await totals(door, "S1")
    assert (everybody.appliances, everybody.orders, everybody.revenue) == (2, 2, Decimal(170))
    assert (first.appliances, first.orders, first.revenue) == (1, 1, Decimal(100))

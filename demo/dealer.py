"""The whole dealer from one seed: the same seed, size and day give the same records to the letter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from demo.catalogue import product_records
from demo.homes import appliance_record, draw_appliances, draw_counts, draw_due
from demo.people import (
    DEALERS,
    Household,
    community_records,
    draw_customers,
    draw_households,
    draw_salespeople,
)
from demo.trade import draw_orders, draw_visits, order_record

Record = dict[str, Any]
APPLIANCES_PER_HOME = 2.8


@dataclass(frozen=True)
class Dealer:
    """Everything that the dealer's books hold, as the records that the JSON API takes (API.md)."""

    dealers: list[Record]
    salespeople: list[Record]
    communities: list[Record]
    products: list[Record]
    customers: list[Record]
    appliances: list[Record]
    orders: list[Record]
    service_visits: list[Record]


def make_dealer(today: date, households: int = 5_000, seed: int = 20_240_601) -> Dealer:
    """A dealer with so many households and 2.8 times as many appliances; only due dates lie after `today`."""
    rng = Random(seed)  # noqa: S311 – a believable world, no secret
    salespeople = draw_salespeople(rng)
    homes = draw_households(rng, households, salespeople, today)
    counts = draw_counts(rng, homes, round(households * APPLIANCES_PER_HOME))
    made = Dealer(
        dealers=[dict(one) for one in DEALERS],
        salespeople=[one.record for one in salespeople],
        communities=community_records(),
        products=product_records(),
        customers=[],
        appliances=[],
        orders=[],
        service_visits=[],
    )
    for home, count in zip(homes, counts, strict=True):
        _furnish(rng, made, home, count, today)
    return made


def _furnish(rng: Random, made: Dealer, home: Household, count: int, today: date) -> None:
    made.customers.extend(draw_customers(rng, home, today))
    owned = draw_appliances(rng, home, count, len(made.appliances) + 1, today)
    order_of: dict[str, str] = {}
    for order in draw_orders(rng, home, owned, today):
        number = f"XD{len(made.orders) + 1:07d}"
        made.orders.append(order_record(order, number))
        order_of.update(dict.fromkeys(order.appliances, number))
    for appliance in owned:
        due = draw_due(rng, appliance, today)
        made.appliances.append(appliance_record(appliance, order_of.get(appliance.number), due))
        for visit in draw_visits(rng, appliance, today):
            made.service_visits.append({"number": f"SV{len(made.service_visits) + 1:06d}", **visit})

"""Three years of the dealer's books: orders with their items, and service visits to the homes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from demo.catalogue import CENT, Product, accessories, appliances
from demo.homes import ORDERS_SINCE, YEAR, Appliance
from demo.market import PLATFORMS, PROVIDERS
from demo.people import Household, at_hour

ZERO = Decimal(0)


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int
    price: Decimal  # paid, after discount


@dataclass(frozen=True)
class Order:
    """One order; `appliances` are the numbers of the dealer's appliance records that came of it."""

    customer: str
    at: datetime
    platform: str
    status: str
    lines: tuple[Line, ...]
    refunded: Decimal = ZERO
    appliances: tuple[str, ...] = ()

    @property
    def amount(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), ZERO)


def draw_orders(rng: Random, home: Household, owned: list[Appliance], today: date) -> list[Order]:
    """The orders of one home: what it owns, what its appliances called for since, and what came to nothing."""
    orders = list(_appliance_orders(rng, home, owned, today))
    orders += _accessory_orders(rng, home, owned, today)
    if rng.random() < 0.07:
        orders.append(_lost_order(rng, home, today))
    return orders


def order_record(order: Order, number: str) -> dict[str, Any]:
    """The order as `POST /orders` takes it; money as decimal strings."""
    return {
        "number": number,
        "customer": {"external_id": order.customer},
        "platform": order.platform,
        "status": order.status,
        "ordered_at": order.at.isoformat(),
        "amount": str(order.amount.quantize(CENT)),
        "refunded": str(order.refunded.quantize(CENT)),
        "items": [_item(line) for line in order.lines],
    }


def draw_visits(rng: Random, appliance: Appliance, today: date) -> Iterator[dict[str, Any]]:
    """Installation, repairs and maintenance of one appliance within the books' three years, without their numbers."""
    horizon = today - ORDERS_SINCE
    if appliance.installed_on and appliance.purchased_on > horizon and appliance.category.installed:
        yield _visit(rng, appliance, "installation", appliance.installed_on, today)
    years = (today - max(appliance.purchased_on, horizon)) / YEAR
    age = (today - appliance.purchased_on) / YEAR
    for kind, yearly in (("repair", 0.02 + 0.008 * age), ("maintenance", 0.12 if appliance.category.consumable else 0)):
        if rng.random() < yearly * years:
            day = today - timedelta(days=rng.randrange(int(years * 365) + 1))
            yield _visit(rng, appliance, kind, day, today)
            if kind == "repair":
                yield from _second_repair(appliance, day, today)


def _second_repair(appliance: Appliance, first: date, today: date) -> Iterator[dict[str, Any]]:
    """One repaired appliance in four is repaired again. Dice of its own: the rest of the world stays as it was."""
    rng = Random(appliance.number)  # noqa: S311 – a believable world, no secret
    if rng.random() < 0.25 and first < today:
        yield _visit(rng, appliance, "repair", first + timedelta(days=1 + rng.randrange((today - first).days)), today)


def _appliance_orders(rng: Random, home: Household, owned: list[Appliance], today: date) -> Iterator[Order]:
    days: dict[date, list[Appliance]] = defaultdict(list)
    for appliance in owned:
        if appliance.source == "order":
            days[appliance.purchased_on].append(appliance)
    for day, bought in days.items():
        lines = tuple(_line(rng, one.product) for one in bought)
        if rng.random() < 0.15:
            lines += (_line(rng, rng.choice(accessories()[None])),)
        order = _order(rng, home, day, lines)
        yield _settled(rng, replace(order, appliances=tuple(one.number for one in bought)), today)


def _accessory_orders(rng: Random, home: Household, owned: list[Appliance], today: date) -> Iterator[Order]:
    wanted = [product for one in owned for product in accessories().get(one.product.category, ())]
    count = rng.choices((0, 1, 2, 3, 4), weights=(50, 26, 14, 7, 3))[0]
    for _ in range(count):
        choice = wanted if wanted and rng.random() < 0.6 else accessories()[None]
        line = _line(rng, rng.choice(choice), quantity=rng.choices((1, 2), weights=(85, 15))[0])
        yield _settled(rng, _order(rng, home, _day(rng, home, today), (line,)), today)


def _lost_order(rng: Random, home: Household, today: date) -> Order:
    """Cancelled, or sent back altogether."""
    category, brand = rng.choice(sorted(appliances()))
    order = _order(rng, home, _day(rng, home, today), (_line(rng, rng.choice(appliances()[category, brand])),))
    if rng.random() < 0.7:
        return replace(order, status="cancelled")
    return replace(order, status="refunded", refunded=order.amount)


def _settled(rng: Random, order: Order, today: date) -> Order:
    """Orders of the last two days may be open yet; one in forty is partly refunded for a scratch or a late van."""
    if order.at.date() > today - timedelta(days=2) and not order.appliances and rng.random() < 0.5:
        return replace(order, status="pending")
    if rng.random() < 0.025:
        return replace(order, status="partly_refunded", refunded=(order.amount / 10).quantize(CENT))
    return order


def _order(rng: Random, home: Household, day: date, lines: tuple[Line, ...]) -> Order:
    platform = rng.choices([name for name, _ in PLATFORMS], weights=[share for _, share in PLATFORMS])[0]
    hours = (10, 19) if platform == "门店" else (0, 23)
    return Order(home.customer, at_hour(rng, day, *hours), platform, "completed", lines)


def _line(rng: Random, product: Product, quantity: int = 1) -> Line:
    discount = rng.choices((0, 5, 8, 12), weights=(50, 25, 15, 10))[0]
    return Line(product, quantity, (product.price * (100 - discount) / 100).quantize(CENT))


def _day(rng: Random, home: Household, today: date) -> date:
    """Some day of the books, yesterday at the latest, since the home is lived in."""
    return max(today - timedelta(days=rng.randrange(1, ORDERS_SINCE.days)), min(home.moved_in, today))


def _item(line: Line) -> dict[str, Any]:
    return {
        "sku": line.product.sku,
        "name": line.product.name,
        "brand": line.product.brand,
        "category": line.product.category,
        "quantity": line.quantity,
        "price": str(line.price),
        "cost": None if line.product.cost is None else str(line.product.cost),
    }


def _visit(rng: Random, appliance: Appliance, kind: str, day: date, today: date) -> dict[str, Any]:
    provider, mean = rng.choice(PROVIDERS)
    came = at_hour(rng, day, 9, 17)
    done = day < today
    rated = done and rng.random() < 0.7
    cost = ZERO if kind == "installation" else Decimal(rng.choice((0, 0, 80, 120, 150, 260, 380)))
    return {
        "customer": {"external_id": appliance.home.customer},
        "appliance": appliance.number,
        "kind": kind,
        "status": "completed" if done else "scheduled",
        "provider": provider,
        "requested_at": (came - timedelta(days=rng.randrange(1, 5))).isoformat(),
        "visited_at": came.isoformat() if done else None,
        "completed_at": (came + timedelta(minutes=rng.randrange(25, 150))).isoformat() if done else None,
        "satisfaction": min(max(round(rng.gauss(mean, 0.7)), 1), 5) if rated else None,
        "cost": str(cost.quantize(CENT)) if done else None,
    }

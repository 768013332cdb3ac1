"""Which appliances stand in a home, how old they are, and when their filters fall due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from demo.catalogue import Product, appliances
from demo.market import BRANDS, BY_CODE, CATEGORIES, Category
from demo.people import Household

YEAR = timedelta(days=365.25)
OLDEST = 15 * YEAR
ORDERS_SINCE = 3 * YEAR  # the dealer's order book reaches back so far


@dataclass(frozen=True)
class Appliance:
    """One appliance of a home; `number` is the dealer's own. What stands in the order book names its order."""

    number: str
    home: Household
    product: Product
    purchased_on: date
    installed_on: date | None
    status: str
    source: str
    serial: str | None

    @property
    def category(self) -> Category:
        return BY_CODE[self.product.category]


def draw_counts(rng: Random, homes: list[Household], total: int) -> list[int]:
    """How many appliances are known of each home, `total` together; none where the salesperson never went in."""
    visited = [rng.random() < 0.75 + 0.25 * home.salesperson.diligence for home in homes]
    counts = [
        0 if not seen else rng.choices((1, 2, 3, 4, 5, 6), weights=(14, 24, 28, 19, 10, 5))[0] for seen in visited
    ]
    open_homes = [index for index, seen in enumerate(visited) if seen] or list(range(len(homes)))
    while (missing := total - sum(counts)) != 0:
        for index in rng.sample(open_homes, min(abs(missing), len(open_homes))):
            counts[index] = max(counts[index] + (1 if missing > 0 else -1), 0)
    return counts


def draw_appliances(rng: Random, home: Household, count: int, first_number: int, today: date) -> list[Appliance]:
    """`count` appliances of one home, the dealer's numbers counting up from `first_number`."""
    bundle = home.moved_in  # what was bought when the home was furnished
    found = []
    for offset, category in enumerate(_categories(rng, count)):
        bought = bundle if rng.random() < 0.4 else _later(rng, home, today)
        if today - bought > OLDEST:  # the first one is gone, this is its successor
            bought = today - rng.uniform(0.3, 1) * OLDEST
        found.append(_appliance(rng, home, category, bought, first_number + offset, today))
    return found


def appliance_record(appliance: Appliance, order_number: str | None, due: date | None) -> dict[str, Any]:
    """The appliance as `POST /appliances` takes it."""
    installed = appliance.installed_on or appliance.purchased_on
    return {
        "number": appliance.number,
        "serial": appliance.serial,
        "customer": {"external_id": appliance.home.customer},
        "category": appliance.product.category,
        "brand": appliance.product.brand,
        "model": appliance.product.model,
        "power_watts": appliance.product.watts,
        "purchased_on": appliance.purchased_on.isoformat(),
        "installed_on": appliance.installed_on.isoformat() if appliance.installed_on else None,
        "warranty_until": _years_after(installed, appliance.category.warranty).isoformat(),
        "status": appliance.status,
        "source": appliance.source,
        "next_consumable_due_on": due.isoformat() if due else None,
        "order_number": order_number,
    }


def draw_due(rng: Random, appliance: Appliance, today: date) -> date | None:
    """When its filter, rod or cleaning is next due: up to two months ago for those who put it off."""
    if appliance.category.consumable is None or appliance.status != "in_use" or rng.random() < 0.25:
        return None
    _, months = appliance.category.consumable
    return today + timedelta(days=rng.randrange(-60, months * 30))


def _categories(rng: Random, count: int) -> list[Category]:
    found: list[Category] = []
    while len(found) < count:
        category = rng.choices(CATEGORIES, weights=[one.owned for one in CATEGORIES])[0]
        if found.count(category) < category.most:
            found.append(category)
    return found


def _later(rng: Random, home: Household, today: date) -> date:
    lived = (today - home.moved_in).days
    return today - timedelta(days=1 + int((lived - 1) * rng.betavariate(1.0, 1.15)))


def _appliance(rng: Random, home: Household, category: Category, bought: date, number: int, today: date) -> Appliance:
    brand = rng.choices([name for name, _ in category.brands], weights=[share for _, share in category.brands])[0]
    product = rng.choice(appliances()[category.code, brand])
    delivered = min(bought + timedelta(days=rng.randint(1, 9)), today)
    return Appliance(
        number=f"A{number:06d}",
        home=home,
        product=product,
        purchased_on=bought,
        installed_on=delivered if rng.random() < 0.97 else None,
        status=_status(rng, (today - bought) / YEAR, category),
        source="order" if today - bought < ORDERS_SINCE else rng.choice(("salesperson", "registration", "service")),
        serial=f"{BRANDS[brand].short}{bought:%y%m}{number * 7919 % 9_999_991:07d}" if rng.random() < 0.85 else None,
    )


def _status(rng: Random, years: float, category: Category) -> str:
    """Past its service life an appliance is the likelier to be gone, the longer it is past."""
    if rng.random() > 0.12 * max(years - category.life, 0):
        return "in_use"
    return rng.choice(("replaced", "replaced", "disposed"))


def _years_after(day: date, years: int) -> date:
    if (day.month, day.day) == (2, 29):
        day = day.replace(day=28)
    return day.replace(year=day.year + years)

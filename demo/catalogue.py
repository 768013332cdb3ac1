"""The dealer's catalogue: every brand in its categories and sizes, and accessories. No chance in it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from demo.market import ACCESSORIES, BRANDS, CATEGORIES, Accessory, Category, Size

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Product:
    """One thing on the shelf; money in CNY, `cost` None where the dealer's books lack it."""

    sku: str
    name: str
    category: str
    brand: str
    model: str | None
    watts: int | None
    price: Decimal
    cost: Decimal | None


@cache
def appliances() -> dict[tuple[str, str], tuple[Product, ...]]:
    """Appliances by (category, brand), small to large."""
    return {
        (category.code, brand): tuple(_appliance(category, brand, size) for size in category.sizes)
        for category in CATEGORIES
        for brand, _ in category.brands
    }


@cache
def accessories() -> dict[str | None, tuple[Product, ...]]:
    """Accessories by the category that they fit; under None those that fit anybody."""
    fits = {accessory.fits for accessory in ACCESSORIES}
    return {fit: tuple(_accessory(one) for one in ACCESSORIES if one.fits == fit) for fit in fits}


def product_records() -> list[dict[str, Any]]:
    """All products as `POST /products` takes them."""
    everything = [one for some in (*appliances().values(), *accessories().values()) for one in some]
    return [_record(product) for product in sorted(everything, key=lambda product: product.sku)]


def _appliance(category: Category, brand_name: str, size: Size) -> Product:
    brand = BRANDS[brand_name]
    model = f"{brand.short}-{category.short}{size.code}"
    price = Decimal(round(size.price * brand.price / 100) * 100 - 1)
    return Product(
        sku=model,
        name=f"{brand.zh}{category.zh} {size.label}",
        category=category.code,
        brand=brand.name,
        model=model,
        watts=size.watts,
        price=price.quantize(CENT),
        cost=(price * category.cost / 100).quantize(CENT),
    )


def _accessory(accessory: Accessory) -> Product:
    cost = None if accessory.cost is None else Decimal(accessory.cost)
    return Product(
        accessory.sku, accessory.name, accessory.category, accessory.brand, None, None, Decimal(accessory.price), cost
    )


def _record(product: Product) -> dict[str, Any]:
    return {
        "code": product.sku,
        "name": product.name,
        "category": product.category,
        "brand": product.brand,
        "model": product.model,
        "price": str(product.price),
        "cost": None if product.cost is None else str(product.cost),
    }

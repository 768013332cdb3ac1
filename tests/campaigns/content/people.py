"""One person as the loader gives them, and addresses for their message."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from campaigns.content import MessageLinks

LINKS = MessageLinks(
    clicks=lambda count: [f"https://hearth.example/c/{index}?a=1&b=2" for index in range(count)],
    pixel="https://hearth.example/o/t",
    unsubscribe="https://hearth.example/u/t",
    preferences="https://hearth.example/p/t",
    view="https://hearth.example/v/t",
)


def person(**changes: Any) -> dict[str, Any]:
    """A customer of the dealer with an air conditioner; what is not loaded is None."""
    air_conditioner = {
        "brand": "Gree",
        "model": "KFR-35",
        "installed_on": date(2018, 5, 1),
        "category": "air_conditioner",
    }
    fridge = {"brand": "Haier", "model": "BCD-200", "installed_on": None, "category": "refrigerator"}
    order = {
        "number": "A-1",
        "amount": Decimal("3999.00"),
        "ordered_at": datetime(2026, 11, 1, 17, 30, tzinfo=UTC),
        "items": [{"sku": "F1", "name": "Filter", "quantity": Decimal(2), "price": Decimal("49.5")}],
    }
    return {
        "customer": {
            "name": "张伟",
            "city": None,
            "total_spent": Decimal("12345.60"),
            "tags": ["vip", "old"],
            "attributes": {"sizes": ["S", "M"]},
        },
        "salesperson": {"code": "s1", "name": "李四", "phone": "+86 138 0000 0000", "email": "li@example.com"},
        "dealer": None,
        "household": {"size": 3, "address": "1-2-3", "community": "枫林"},
        "appliance": air_conditioner,
        "appliances": [air_conditioner, fridge],
        "order": order,
        "orders": [order],
        "campaign": {"name": "Filters"},
        "today": date(2026, 11, 22),
        **changes,
    }

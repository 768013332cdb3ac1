"""Ready-made segments of the appliance trade, as data; what they are called stands in `segments.recipe_words`.

A recipe's rule is that of RULES.md with its parameters in braces: a text that is nothing but `{days}` becomes the value
itself. With `per` there is one segment for each value that the workspace has (`segments.recipe_choices`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Per(StrEnum):
    """Of what there is one segment each."""

    LIFE = "category that has a service life"
    CONSUMABLES = "category that has consumables"
    COMMUNITY = "community with many old appliances"
    CHANNEL = "channel"

    @property
    def parameter(self) -> str:
        """What the rule calls it."""
        return self.split()[0]


@dataclass(frozen=True)
class Recipe:
    """`parameters`: whole numbers with their defaults."""

    code: str
    intention: str
    rule: Mapping[str, Any]
    parameters: Mapping[str, int] = field(default_factory=dict)
    per: Per | None = None


def _is(name: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": name, "op": op, "value": value}


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"all": list(rules)}


def _owns(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"has": "appliances", "where": _all(_is("status", "eq", "in_use"), *conditions)}


_WORN_OUT = {"any": [_is("expires_on", "older_than", "P0D"), _is("expires_on", "within_next", "P{days}D")]}
_BOUGHT_THREE_MONTHS_AGO = {
    "has": "orders",
    "where": _all(
        _is("status", "in", ["completed", "partly_refunded"]),
        _is("ordered_at", "older_than", "P3M"),
        _is("ordered_at", "within_last", "P4M"),
    ),
}
_NO_VISIT_SINCE = {
    "has": "service_visits",
    "where": _is("completed_at", "within_last", "P3M"),
    "count": {"op": "eq", "value": 0},
}
_BAD_REPAIR = {
    "has": "service_visits",
    "where": _all(
        _is("kind", "eq", "repair"),
        _is("satisfaction", "lte", "{satisfaction}"),
        _is("completed_at", "within_last", "P{days}D"),
    ),
}

RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "replacement_due",
        "replacement",
        _owns(_is("category", "eq", "{category}"), _WORN_OUT),
        {"days": 90},
        per=Per.LIFE,
    ),
    Recipe(
        "old_and_repaired",
        "replacement",
        _owns(_is("installed_on", "older_than", "P{years}Y"), _is("repairs_count", "gte", "{repairs}")),
        {"years": 5, "repairs": 2},
    ),
    Recipe(
        "community_day",
        "replacement",
        _all(_is("community", "eq", "{community}"), _owns(_WORN_OUT)),
        {"days": 180},
        per=Per.COMMUNITY,
    ),
    Recipe(
        "consumable_due",
        "service",
        _owns(_is("category", "eq", "{category}"), _is("next_consumable_due_on", "within_next", "P{days}D")),
        {"days": 14},
        per=Per.CONSUMABLES,
    ),
    Recipe(
        "consumable_overdue", "service", _owns(_is("next_consumable_due_on", "older_than", "P{days}D")), {"days": 14}
    ),
    Recipe("warranty_ending", "warranty", _owns(_is("warranty_until", "within_next", "P{days}D")), {"days": 30}),
    Recipe("warranty_ended", "warranty", _owns(_is("warranty_until", "within_last", "P{days}D")), {"days": 60}),
    Recipe("new_customers", "growth", _is("first_order_at", "within_last", "P{days}D"), {"days": 30}),
    Recipe(
        "no_follow_up",
        "growth",
        _all(_BOUGHT_THREE_MONTHS_AGO, _is("last_contacted_at", "not_within_last", "P3M"), _NO_VISIT_SINCE),
    ),
    Recipe(
        "best_customers",
        "growth",
        _all(_is("rfm.monetary", "gte", "{rank}"), _is("rfm.recency", "gte", "{rank}")),
        {"rank": 4},
    ),
    Recipe(
        "one_purchase",
        "growth",
        _all(
            _is("orders_count", "eq", 1),
            _is("last_order_at", "older_than", "P{days}D"),
            _is("last_order_at", "within_last", "P2Y"),
        ),
        {"days": 60},
    ),
    Recipe(
        "clicks_does_not_buy",
        "growth",
        _all(_is("last_clicked_at", "within_last", "P{days}D"), _is("last_order_at", "not_within_last", "P6M")),
        {"days": 30},
    ),
    Recipe("birthday", "growth", _is("birthday", "anniversary_within_next", "P{days}D"), {"days": 14}),
    Recipe(
        "at_risk",
        "risk",
        _all(_is("orders_count", "gte", "{orders}"), _is("next_order_expected_at", "older_than", "P{days}D")),
        {"orders": 3, "days": 30},
    ),
    Recipe(
        "lapsed",
        "risk",
        _all(_is("orders_count", "gte", 1), _is("last_order_at", "not_within_last", "P{years}Y")),
        {"years": 2},
    ),
    Recipe("unhappy_with_repair", "risk", _BAD_REPAIR, {"days": 180, "satisfaction": 3}),
    Recipe("never_contacted", "reach", {"field": "last_contacted_at", "op": "empty"}),
    Recipe("reachable", "reach", _is("reachable.{channel}", "is", True), per=Per.CHANNEL),
    Recipe("not_reachable", "reach", _is("reachable.{channel}", "is", False), per=Per.CHANNEL),
)

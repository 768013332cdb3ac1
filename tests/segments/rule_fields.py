"""What a rule can ask (RULES.md), as the tests know it: every field with the kind of value that it holds."""

from __future__ import annotations

TEXT_FIELDS = ["name", "email", "phone", "gender", "city", "district", "address", "platform", "language", "timezone"]
CODE_FIELDS = ["external_id", "community", "dealer", "salesperson"]
ACTIVITY_NUMBERS = [
    "engagement_score", "orders_count", "total_spent", "average_order_value", "gross_margin", "order_gap_days",
    "chance_active", "orders_expected", "last_rating",
]  # fmt: skip
ACTIVITY_INSTANTS = [
    "first_order_at", "last_order_at", "next_order_expected_at", "last_opened_at", "last_clicked_at",
    "last_contacted_at", "last_replied_at", "last_rated_at",
]  # fmt: skip
ACTIVITY_WORDS = {"nps_group": "group"}
RANKS = ["rfm.recency", "rfm.frequency", "rfm.monetary"]
ATTRIBUTES = {
    "size": "number", "colour": "text", "signed": "date", "seen": "instant", "vip": "yes_no", "likes": "list",
}  # fmt: skip
RAW = "agent"
"""An event's attribute that nobody defined: a raw fact, text as it came."""

COLUMNS = {
    **dict.fromkeys(TEXT_FIELDS, "text"),
    **dict.fromkeys(CODE_FIELDS, "code"),
    "household_size": "number",
    "birthday": "date",
    "created_at": "instant",
    "tags": "list",
    **dict.fromkeys(ACTIVITY_NUMBERS, "number"),
    **dict.fromkeys(ACTIVITY_INSTANTS, "instant"),
    **ACTIVITY_WORDS,
    **dict.fromkeys(RANKS, "number"),
}
CUSTOMER_FIELDS = {
    **COLUMNS,
    "reachable.email": "yes_no",
    **{f"attributes.{key}": kind for key, kind in ATTRIBUTES.items()},
}
RECORD_COLUMNS = {
    "orders": {
        "number": "code", "platform": "text", "status": "status", "amount": "number", "refunded": "number",
        "margin": "number", "ordered_at": "instant", "delivered_at": "instant",
    },
    "order_items": {
        "sku": "code", "name": "text", "brand": "text", "category": "text", "platform": "text", "status": "status",
        "quantity": "number", "price": "number", "amount": "number", "ordered_at": "instant",
    },
    "appliances": {
        "category": "text", "brand": "text", "model": "text", "serial": "code", "source": "text",
        "power_watts": "number", "repairs_count": "number", "status": "use",
        "purchased_on": "date", "installed_on": "date",
        "warranty_until": "date", "expires_on": "date", "next_consumable_due_on": "date",
    },
    "service_visits": {
        "kind": "text", "status": "text", "provider": "text", "satisfaction": "number", "cost": "number",
        "requested_at": "instant", "visited_at": "instant", "completed_at": "instant",
    },
    "consents": {"channel": "channel", "purpose": "purpose", "source": "text", "granted": "yes_no", "at": "instant"},
    "ratings": {
        "survey": "survey", "channel": "channel", "provider": "text", "category": "text", "comment": "text",
        "salesperson": "code", "score": "number", "at": "instant",
    },
    "messages": {
        "channel": "channel", "campaign": "text", "state": "state",
        "sent_at": "instant", "opened_at": "instant", "clicked_at": "instant",
    },
    "events": {
        "kind": "text", "campaign": "text", "channel": "channel", "link": "text", "value": "number", "at": "instant",
        "machine": "yes_no",
    },
}  # fmt: skip
RECORD_FIELDS = {
    **RECORD_COLUMNS,
    "events": {
        **RECORD_COLUMNS["events"],
        **{f"attributes.{key}": kind for key, kind in ATTRIBUTES.items()},
        f"attributes.{RAW}": "code",
    },
}
NEVER_NULL = {
    "tags",
    "status", "amount", "refunded", "ordered_at", "quantity", "price", "repairs_count", "granted", "at", "channel",
    "purpose", "orders_count", "total_spent", "created_at", "machine", "state", "kind", "survey", "score",
}  # fmt: skip
ROUNDED = {
    "engagement_score",
    "order_gap_days",
    "chance_active",
    "orders_expected",
    "satisfaction",
    "power_watts",
}  # columns of fewer digits than money
WHOLE = {"household_size", "orders_count", "repairs_count", "last_rating", "score", *RANKS}
WORDED = {
    "status": "text",
    "channel": "text",
    "purpose": "text",
    "use": "text",
    "state": "text",
    "survey": "text",
    "group": "text",
}
"""Texts of a fixed vocabulary."""

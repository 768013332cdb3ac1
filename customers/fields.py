"""The customer's own fields, as a rule asks for them (RULES.md, "Field")."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Table

from customers.engagement import ENGAGEMENT
from customers.models import activity, customers
from runtime.registry import Field, Kind, fields, text_fields


def as_text(table: Table, *names: str) -> dict[str, Field]:
    """Fields of kind text over columns that hold words of a fixed, lower-case vocabulary: their own folded form."""
    return {name: Field(name, Kind.TEXT, table.c[name], table.c[name]) for name in names}


def _ranks(*names: str) -> dict[str, Field]:
    return {f"rfm.{name}": Field(f"rfm.{name}", Kind.RANK, activity.c[f"rfm_{name}"]) for name in names}


CUSTOMER_FIELDS: Mapping[str, Field] = {
    **text_fields(
        customers, "name", "email", "phone", "gender", "city", "district", "address", "platform", "language", "timezone"
    ),
    **fields(customers, Kind.CODE, "external_id", "community", "dealer", "salesperson"),
    **fields(customers, Kind.NUMBER, "household_size"),
    **fields(customers, Kind.DATE, "birthday"),
    **fields(customers, Kind.INSTANT, "created_at"),
    "tags": Field("tags", Kind.LIST, customers.c.tags, customers.c.tags_folded),
}
"""Columns of `customers` itself. Rows whose `merged_into` is set are aliases, no customers."""

ACTIVITY_FIELDS: Mapping[str, Field] = {
    "engagement_score": Field("engagement_score", Kind.NUMBER, activity.c.engaged_until, fading=ENGAGEMENT),
    **fields(
        activity,
        Kind.NUMBER,
        "orders_count",
        "total_spent",
        "average_order_value",
        "gross_margin",
        "order_gap_days",
        "chance_active",
        "orders_expected",
        "last_rating",
    ),
    **fields(
        activity,
        Kind.INSTANT,
        "first_order_at",
        "last_order_at",
        "next_order_expected_at",
        "last_opened_at",
        "last_clicked_at",
        "last_contacted_at",
        "last_replied_at",
        "last_rated_at",
    ),
    **as_text(activity, "nps_group"),
    **_ranks("recency", "frequency", "monetary"),
}
"""Columns of `activity`, one row a customer (made with the customer): to be joined on `customer_id`."""

FIELDS: Mapping[str, Field] = {**CUSTOMER_FIELDS, **ACTIVITY_FIELDS}
"""All of them. `reachable.<channel>` and `attributes.<key>` (customers.attributes, typed by `attribute_definitions`)
are not columns and are built by the compiler."""

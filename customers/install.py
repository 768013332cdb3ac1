"""What this room tells the others: its records as sources of segment rules, and its part of the timeline."""

from __future__ import annotations

from customers import base as _base  # noqa: F401 -- registers its job
from customers import chances as _chances  # noqa: F401 -- registers its tick and job
from customers import ranks as _ranks  # noqa: F401 -- registers its tick and job
from customers.fields import as_text
from customers.history import contribute_records
from customers.imports import pending as _pending  # noqa: F401 -- registers its tick
from customers.imports import uploads as _uploads  # noqa: F401 -- registers its job
from customers.models import appliances, order_items, orders, ratings, service_visits, standing_consents
from runtime.registry import Kind, Source, fields, register_source, text_fields


def install() -> None:
    """Register the records of this room; called once a process, harmless when repeated."""
    for source in (_orders(), _order_items(), _appliances(), _service_visits(), _consents(), _ratings()):
        register_source(source)
    contribute_records()


def _orders() -> Source:
    return Source(
        "orders",
        orders,
        orders.c.customer_id,
        {
            **fields(orders, Kind.CODE, "number"),
            **text_fields(orders, "platform"),
            **as_text(orders, "status"),
            **fields(orders, Kind.NUMBER, "amount", "refunded", "margin"),
            **fields(orders, Kind.INSTANT, "ordered_at", "delivered_at"),
        },
    )


def _order_items() -> Source:
    return Source(
        "order_items",
        order_items,
        order_items.c.customer_id,
        {
            **fields(order_items, Kind.CODE, "sku"),
            **text_fields(order_items, "name", "brand", "category", "platform"),
            **as_text(order_items, "status"),
            **fields(order_items, Kind.NUMBER, "quantity", "price", "amount"),
            **fields(order_items, Kind.INSTANT, "ordered_at"),
        },
    )


def _appliances() -> Source:
    return Source(
        "appliances",
        appliances,
        appliances.c.customer_id,
        {
            **text_fields(appliances, "category", "brand", "model", "source"),
            **as_text(appliances, "status"),
            **fields(appliances, Kind.CODE, "serial"),
            **fields(appliances, Kind.NUMBER, "power_watts", "repairs_count"),
            **fields(
                appliances,
                Kind.DATE,
                "purchased_on",
                "installed_on",
                "warranty_until",
                "expires_on",
                "next_consumable_due_on",
            ),
        },
    )


def _service_visits() -> Source:
    return Source(
        "service_visits",
        service_visits,
        service_visits.c.customer_id,
        {
            **text_fields(service_visits, "kind", "status", "provider"),
            **fields(service_visits, Kind.NUMBER, "satisfaction", "cost"),
            **fields(service_visits, Kind.INSTANT, "requested_at", "visited_at", "completed_at"),
        },
    )


def _consents() -> Source:
    return Source(
        "consents",
        standing_consents,
        standing_consents.c.customer_id,
        {
            **as_text(standing_consents, "channel", "purpose"),
            **text_fields(standing_consents, "source"),
            **fields(standing_consents, Kind.YES_NO, "granted"),
            **fields(standing_consents, Kind.INSTANT, "at"),
        },
    )


def _ratings() -> Source:
    """People's last answers."""
    return Source(
        "ratings",
        ratings,
        ratings.c.customer_id,
        {
            **as_text(ratings, "survey", "channel"),
            **text_fields(ratings, "provider", "category", "comment"),
            **fields(ratings, Kind.CODE, "salesperson"),
            **fields(ratings, Kind.NUMBER, "score"),
            **fields(ratings, Kind.INSTANT, "at"),
        },
        where=ratings.c.counts,
    )

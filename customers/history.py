"""What the records say in a timeline: orders, service visits, consents, appliances."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, FromClause, Select, Text, case, cast, func, select

from customers.models import appliances, consents, order_items, orders, ratings, service_visits, suppressions
from customers.timeline import contribute, entry, newest

_ITEMS_SHOWN = 5


def contribute_records() -> None:
    """Enter this room's contributions."""
    contribute("orders", _orders, {"order"})
    contribute("service_visits", _service_visits, {"service_visit"})
    contribute("consents", _consents, {"consent_granted", "consent_withdrawn"})
    contribute("appliances", _appliances, {"appliance_installed", "appliance_purchased"})
    contribute("lifts", _lifts, {"suppression_lifted"})
    contribute("ratings", _ratings, {"rated"})


def _orders(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row, item = orders.c, order_items.c
    items = (
        select(item.name, item.quantity)
        .where(item.customer_id == row.customer_id, item.order_number == row.number, item.position < _ITEMS_SHOWN)
        .order_by(item.position)
        .correlate(orders)
        .lateral("items")
    )
    listed = select(func.jsonb_agg(func.jsonb_build_object("name", items.c.name, "quantity", items.c.quantity)))
    data = func.jsonb_build_object(
        *("number", row.number, "status", row.status, "platform", row.platform),
        *("amount", cast(row.amount, Text), "refunded", cast(row.refunded, Text)),
        *("items_count", row.items_count, "items", listed.select_from(items).scalar_subquery()),
    )
    return _mine(entry(row.ordered_at, "order", data), orders, row.ordered_at, customer_id, before, limit)


def _service_visits(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = service_visits.c
    at = func.coalesce(row.completed_at, row.visited_at, row.requested_at, row.created_at)
    data = func.jsonb_build_object(
        *("number", row.number, "kind", row.kind, "status", row.status, "provider", row.provider),
        *("satisfaction", row.satisfaction, "cost", cast(row.cost, Text), "appliance", row.appliance_number),
        *("note", row.note),
    )
    return _mine(entry(at, "service_visit", data), service_visits, at, customer_id, before, limit)


def _consents(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = consents.c
    kind = case((row.granted, "consent_granted"), else_="consent_withdrawn")
    data = func.jsonb_build_object(
        *("purpose", row.purpose, "granted", row.granted, "source", row.source, "text_version", row.text_version)
    )
    return _mine(entry(row.at, kind, data, channel=row.channel), consents, row.at, customer_id, before, limit)


def _appliances(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = appliances.c
    day = func.coalesce(row.installed_on, row.purchased_on)
    at = func.coalesce(func.timezone("UTC", cast(day, DateTime(timezone=False))), row.created_at)
    kind = case((row.installed_on.is_not(None), "appliance_installed"), else_="appliance_purchased")
    data = func.jsonb_build_object(
        *("number", row.number, "category", row.category, "brand", row.brand, "model", row.model),
        *("serial", row.serial, "status", row.status, "day", day),
    )
    return _mine(entry(at, kind, data), appliances, at, customer_id, before, limit)


def _lifts(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    """Suppressions that somebody ended by hand."""
    row = suppressions.c
    data = func.jsonb_build_object(
        *("reason", row.reason, "address", row.address, "by", row.lifted_by, "note", row.lift_note)
    )
    entries = entry(row.expires_at, "suppression_lifted", data, channel=row.channel).where(row.lifted_by.is_not(None))
    return _mine(entries, suppressions, row.expires_at, customer_id, before, limit)


def _ratings(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    """Answers to surveys; those that count no more too."""
    row = ratings.c
    data = func.jsonb_build_object(
        *("survey", row.survey, "score", row.score, "counts", row.counts, "machine", row.machine_reason),
        *("comment", row.comment, "about", row.about, "number", row.about_number, "provider", row.provider),
    )
    return _mine(entry(row.at, "rated", data, channel=row.channel), ratings, row.at, customer_id, before, limit)


def _mine(
    entries: Select[Any], table: FromClause, at: ColumnElement[Any], customer_id: int, before: datetime, limit: int
) -> Select[Any]:
    mine = entries.select_from(table).where(table.c.customer_id == customer_id, at <= before)
    return newest(mine, at, limit)

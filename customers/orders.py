"""Upsert of orders with their items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_orders
from customers.bulk import as_json
from customers.changes import note_changed
from customers.models import order_items, orders
from customers.owned import (
    Key,
    OwnedKind,
    Row,
    load_rows,
    number_owners,
    refuse_foreign,
    settle_customers,
    write_rows,
)
from customers.results import Tally, UpsertResult
from customers.schemas import ORDER, ORDER_ITEM, clean
from customers.values import Context
from runtime.database import copy_rows
from runtime.errors import Problem
from runtime.settings import Settings
from runtime.text import fold

ORDERS = OwnedKind(
    "order",
    "order",
    orders,
    ("platform", "status", "ordered_at", "delivered_at", "amount", "refunded", "items_count", "digest"),
)
_ITEMS_LIMIT = 5000
_CENT = Decimal("0.0001")
_FACTS = ("sku", "name", "brand", "category", "quantity", "price", "cost")
_ITEM_COLUMNS = (
    *("customer_id", "order_number", "position", "sku", "name", "name_folded", "brand", "brand_folded"),
    *("category", "category_folded", "quantity", "price", "amount", "cost"),
    *("platform", "platform_folded", "status", "ordered_at"),
)
_AMOUNT_LIMIT = Decimal(10) ** 12  # the sum of all items fits Numeric(18, 4) as well
# What items repeat of their order, and what the order knows from its items: the margin over those whose cost is known,
# with the order's discount and refund spread over all items by their amount.
_FOLLOW = text("""
    UPDATE order_items i SET platform = o.platform, platform_folded = o.platform_folded, status = o.status,
        ordered_at = o.ordered_at
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given(customer_id bigint, number text)
    JOIN orders o ON o.customer_id = given.customer_id AND o.number = given.number
    WHERE i.customer_id = given.customer_id AND i.order_number = given.number
        AND (i.platform, i.status, i.ordered_at) IS DISTINCT FROM (o.platform, o.status, o.ordered_at)
""")
_MARGIN = text("""
    UPDATE orders SET margin = folded.margin
    FROM (
        SELECT o.customer_id, o.number, round(
            (o.amount - o.refunded) * coalesce(sum(abs(i.amount)) FILTER (WHERE i.cost IS NOT NULL)
                / nullif(sum(abs(i.amount)), 0), 0) - sum(i.cost * i.quantity), 4) AS margin
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given(customer_id bigint, number text)
        JOIN orders o ON o.customer_id = given.customer_id AND o.number = given.number
        LEFT JOIN order_items i ON i.customer_id = o.customer_id AND i.order_number = o.number
        GROUP BY o.customer_id, o.number
    ) folded
    WHERE orders.customer_id = folded.customer_id AND orders.number = folded.number
        AND orders.margin IS DISTINCT FROM folded.margin
""")


@dataclass(frozen=True)
class Order:
    """What a record says of an order. `items` None: it says nothing of them."""

    values: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]] | None

    @property
    def number(self) -> str:
        return str(self.values["number"])


async def upsert_orders(
    conn: AsyncConnection, records: Sequence[Any], *, settings: Settings, now: datetime
) -> UpsertResult:
    """Create or update orders by number, items replaced as a set; then fold them into their customers' activity."""
    context = Context(settings.zone, settings.country)
    tally = Tally()
    given = _read(records, context, tally)
    customers = await settle_customers(conn, records, given, tally, settings=settings, now=now)
    owners = await number_owners(conn, "order", (given[index].number for index in customers))
    wanted = {index: (customer, given[index].number) for index, customer in customers.items()}
    keys = await refuse_foreign(conn, ORDERS, wanted, owners, tally)
    rows = await load_rows(conn, ORDERS, keys.values())
    items: dict[Key, Sequence[Mapping[str, Any]]] = {}
    for index in sorted(keys):
        _apply(index, given[index], rows[keys[index]], items, tally)
    changed = [row for row in rows.values() if row.changed]
    await write_rows(conn, ORDERS, changed, now)
    await _write_items(conn, rows, items)
    await _follow(conn, changed)
    buyers = {row.customer_id for row in changed}
    await fold_orders(conn, buyers)
    await note_changed(conn, ("orders", "order_items"), buyers)
    return tally.result({index: customer for index, (customer, _) in keys.items()})


def _read(records: Sequence[Any], context: Context, tally: Tally) -> dict[int, Order]:
    given: dict[int, Order] = {}
    for index, record in enumerate(records):
        values, problems = clean(record, ORDER, context)
        items = None
        if isinstance(record, dict) and record.get("items") is not None:
            items = _read_items(record["items"], context, problems)
        if problems:
            tally.reject(index, *problems)
        else:
            given[index] = Order(values, items)
    return given


def _read_items(given: Any, context: Context, problems: list[Problem]) -> list[dict[str, Any]]:
    if not isinstance(given, list) or len(given) > _ITEMS_LIMIT:
        problems.append(Problem("items", f"expected a list of at most {_ITEMS_LIMIT} items"))
        return []
    items = []
    for position, one in enumerate(given):
        values, faults = clean(one, ORDER_ITEM, context)
        problems += [Problem(f"items[{position}].{fault.path}".rstrip("."), fault.message) for fault in faults]
        quantity = Decimal(1) if values.get("quantity") is None else values["quantity"]
        price = values.get("price") or Decimal(0)
        amount = quantity * price
        if max(abs(amount), abs(quantity * (values.get("cost") or 0))) * len(given) >= _AMOUNT_LIMIT:
            problems.append(Problem(f"items[{position}]", "quantity × price is out of range"))
        else:
            items.append({**values, "quantity": quantity, "price": price, "amount": amount.quantize(_CENT)})
    return items


def _apply(index: int, order: Order, row: Row, items: dict[Key, Sequence[Mapping[str, Any]]], tally: Tally) -> None:
    """Let one record change its order, or reject it."""
    state = {**row.values, **{name: value for name, value in order.values.items() if name in ORDERS.columns}}
    if order.items is not None:
        state["digest"], state["items_count"] = _digest(order.items), len(order.items)
        if order.values.get("amount") is None:
            state["amount"] = sum((item["amount"] for item in order.items), Decimal(0))
    problems = _settle(state)
    if problems:
        tally.reject(index, *problems)
        return
    if order.items is not None and state["digest"] != row.values["digest"]:
        items[row.key] = order.items
    tally.accept(index, row.take(state))


def _settle(state: dict[str, Any]) -> list[Problem]:
    """Complete a state with what follows from it; what is missing for an order."""
    state["status"] = state["status"] or "completed"
    state["refunded"] = state["refunded"] or Decimal(0)
    state["items_count"] = state["items_count"] or 0
    amount = state["amount"]
    if amount is not None and state["status"] == "refunded":
        if not state["refunded"] and amount > 0:
            state["refunded"] = amount
        elif state["refunded"] < amount:
            state["status"] = "partly_refunded"
    missing = (("ordered_at", "is required"), ("amount", "is required where there are no items"))
    return [Problem(name, message) for name, message in missing if state[name] is None]


def _digest(items: Sequence[Mapping[str, Any]]) -> bytes:
    facts = [[_canonical(item.get(name)) for name in _FACTS] for item in items]
    return hashlib.blake2b(json.dumps(facts, ensure_ascii=False).encode(), digest_size=16).digest()


def _canonical(value: Any) -> Any:
    return format(value.quantize(_CENT), "f") if isinstance(value, Decimal) else value


async def _write_items(
    conn: AsyncConnection, rows: Mapping[Key, Row], items: Mapping[Key, Sequence[Mapping[str, Any]]]
) -> None:
    old = [key for key in items if not rows[key].new]
    if old:
        key = tuple_(order_items.c.customer_id, order_items.c.order_number)
        await conn.execute(delete(order_items).where(key.in_(old)))
    cells = [_cells(rows[key], position, item) for key, held in items.items() for position, item in enumerate(held)]
    if cells:
        await copy_rows(conn, "order_items", _ITEM_COLUMNS, cells)


def _cells(row: Row, position: int, item: Mapping[str, Any]) -> tuple[Any, ...]:
    """One item in the order of `_ITEM_COLUMNS`."""
    name, brand, category, platform = item.get("name"), item.get("brand"), item.get("category"), row.values["platform"]
    return (
        row.customer_id,
        row.number,
        position,
        item.get("sku"),
        name,
        fold(name),
        brand,
        fold(brand),
        category,
        fold(category),
        item["quantity"],
        item["price"],
        item["amount"],
        item.get("cost"),
        platform,
        fold(platform),
        row.values["status"],
        row.values["ordered_at"],
    )


async def _follow(conn: AsyncConnection, changed: Collection[Row]) -> None:
    if changed:
        rows = as_json([{"customer_id": row.customer_id, "number": row.number} for row in changed])
        await conn.execute(_FOLLOW, {"rows": rows})
        await conn.execute(_MARGIN, {"rows": rows})

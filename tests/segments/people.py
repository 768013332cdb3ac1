"""A few customers to ask about, written through the records' own door."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from customers.upsert import upsert
from runtime.settings import Settings
from segments.context import EvaluationContext

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
CONTEXT = EvaluationContext(NOW, "Asia/Shanghai")


async def make_people(conn: AsyncConnection, settings: Settings, records: list[dict[str, Any]]) -> dict[str, int]:
    """The ids of these customers by their external ids."""
    made = await upsert(conn, "customers", records, settings=settings, now=NOW)
    assert not made.rejected, made.rejected
    rows = await conn.execute(select(customers.c.external_id, customers.c.id))
    return {row.external_id: row.id for row in rows}


async def make_records(conn: AsyncConnection, settings: Settings, kind: str, records: list[dict[str, Any]]) -> None:
    made = await upsert(conn, kind, records, settings=settings, now=NOW)
    assert not made.rejected, made.rejected


def city(name: str) -> dict[str, Any]:
    return {"field": "city", "op": "eq", "value": name}


def appliance(owner: str, number: str, brand: str, category: str, installed_on: str) -> dict[str, Any]:
    return {
        "number": number,
        "customer": {"external_id": owner},
        "brand": brand,
        "category": category,
        "installed_on": installed_on,
    }

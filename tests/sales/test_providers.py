"""Providers are measured by when they came and what customers said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import ratings, service_visits
from sales.period import read_period
from sales.providers import Provider, providers
from tests.tracking.people_with_mail import make_people

NOVEMBER = read_period("2026-11", ZoneInfo("Asia/Shanghai"))
ASKED = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


async def test_response_in_time_and_satisfaction(conn: AsyncConnection) -> None:
    own, other = await make_people(conn, 1, salesperson="S"), await make_people(conn, 1, salesperson="T")
    await visit(conn, own[0], 1, hours=10, satisfaction=5)
    await visit(conn, own[0], 2, hours=60, satisfaction=2)
    await visit(conn, own[0], 3)  # open, and late
    await visit(conn, own[0], 4, requested_at=NOW - timedelta(hours=1))  # open, not late yet
    await visit(conn, own[0], 5, status="cancelled", status_folded="cancelled")
    await visit(conn, own[0], 6, hours=1, requested_at=ASKED - timedelta(days=30))
    await visit(conn, other[0], 7, hours=20)
    rated = {"customer_id": own[0], "at": NOW, "key": uuid4(), "survey": "csat", "score": 5, "counts": True}
    about = {
        "how": "button",
        "recipient": own[0],
        "run_id": 1,
        "step": 0,
        "provider": "Quick",
        "provider_folded": "quick",
    }
    await conn.execute(insert(ratings), {**rated, **about})
    [found] = await providers(conn, NOVEMBER, NOW)
    assert found == Provider("Quick", 5, 4, Decimal("20.0"), Decimal("0.5"), 1, 0, Decimal(4), 3)
    [found] = await providers(conn, NOVEMBER, NOW, salesperson="T")
    assert (found.visits, found.on_time, found.rated) == (1, Decimal(1), 0)
    assert await providers(conn, NOVEMBER, NOW, salesperson="U") == []


async def visit(conn: AsyncConnection, person: int, number: int, hours: int | None = None, **more: Any) -> None:
    row = {"customer_id": person, "number": str(number), "provider": "Quick", "provider_folded": "quick"}
    made = None if hours is None else ASKED + timedelta(hours=hours)
    times = {"kind": "repair", "kind_folded": "repair", "requested_at": ASKED, "visited_at": made}
    if "requested_at" in more and made is not None:
        times["visited_at"] = more["requested_at"] + timedelta(hours=hours or 0)
    await conn.execute(insert(service_visits), {**row, **times, **more})

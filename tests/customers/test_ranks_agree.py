"""What activity says of orders, and the RFM ranks, beside a plain Python computation over generated orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_orders
from customers.models import activity, customers, orders
from customers.ranks import refresh_ranks

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
STATUSES = ["completed", "completed", "partly_refunded", "cancelled", "refunded", "pending"]
FOLDED = ["orders_count", "total_spent", "average_order_value", "gross_margin", "first_order_at", "last_order_at"]
RANKS = ["rfm_recency", "rfm_frequency", "rfm_monetary"]


def bought(rng: Random, customer_id: int) -> list[dict[str, Any]]:
    """The orders of a customer: few different days and amounts, so that there are ties."""
    return [
        {
            "customer_id": customer_id,
            "number": f"{customer_id}-{index}",
            "status": rng.choice(STATUSES),
            "ordered_at": NOW - timedelta(days=rng.randrange(8)),
            "amount": Decimal(rng.choice(["0", "1", "10", "99.9999"])),
            "refunded": Decimal(rng.choice(["0", "0", "0.5"])),
            "margin": rng.choice([None, Decimal("-1"), Decimal("0.3")]),
        }
        for index in range(rng.choice([0, 1, 1, 2, 3, 4]))
    ]


def folded(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What counts: completed and partly refunded orders, money less what was refunded."""
    counted = [row for row in rows if row["status"] in ("completed", "partly_refunded")]
    paid = [row["amount"] - row["refunded"] for row in counted]
    margins = [row["margin"] for row in counted if row["margin"] is not None]
    times = [row["ordered_at"] for row in counted]
    values = (
        len(counted),
        sum(paid, Decimal(0)),
        (sum(paid) / len(paid)).quantize(Decimal("0.0001"), ROUND_HALF_UP) if paid else None,
        sum(margins) if margins else None,
        min(times, default=None),
        max(times, default=None),
    )
    return dict(zip(FOLDED, values, strict=True))


def ranked(values: Sequence[Any]) -> list[int]:
    """1 to 5 by the values at 20, 40, 60 and 80 percent; one equal to a cut point ranks with the lower side."""
    ordered = sorted(values)
    cuts = [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.2, 0.4, 0.6, 0.8)]
    return [1 + sum(value > cut for cut in cuts) for value in values]


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(people=st.integers(1, 40), seed=st.integers(0, 2**32))
async def test_orders_fold_and_rank(conn: AsyncConnection, people: int, seed: int) -> None:
    rng = Random(seed)
    ids = range(1, people + 1)
    rows = {number: bought(rng, number) for number in ids}
    expected = {number: folded(rows[number]) for number in ids}
    buyers = [number for number in ids if expected[number]["orders_count"]]
    for rank, name in zip(RANKS, ("last_order_at", "orders_count", "total_spent"), strict=True):
        found = ranked([expected[number][name] for number in buyers]) if buyers else []
        ranks = dict(zip(buyers, found, strict=True))
        for number in ids:
            expected[number][rank] = ranks.get(number)
    savepoint = await conn.begin_nested()
    try:
        await conn.execute(insert(customers), [{"id": number} for number in ids])
        await conn.execute(insert(activity), [{"customer_id": number, "rfm_recency": 3} for number in ids])
        if any(rows.values()):
            await conn.execute(insert(orders), [row for own in rows.values() for row in own])
        await fold_orders(conn, ids if rng.random() < 0.5 else None)
        await refresh_ranks(conn)
        columns = activity.c[("customer_id", *FOLDED, *RANKS)]
        found_rows = {row.customer_id: row._asdict() for row in await conn.execute(select(*columns))}
        for number in ids:
            assert found_rows[number] == {"customer_id": number, **expected[number]}, rows[number]
        assert await refresh_ranks(conn) == 0  # nothing is written twice
    finally:
        await savepoint.rollback()

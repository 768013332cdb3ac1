"""The rhythm in which somebody buys, folded from their orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text, update

from customers.activity import fold_missing_rhythms, fold_orders
from customers.merging import merge
from customers.models import activity
from customers.ranks import refresh_ranks_job
from runtime.house import House
from tests.customers.door import Door

START = datetime(2026, 3, 1, 2, tzinfo=UTC)


def order(number: int, days: float, who: str = "A", **more: Any) -> dict[str, Any]:
    at = (START + timedelta(days=days)).isoformat()
    return {"number": f"{who}{number}", "customer": {"external_id": who}, "ordered_at": at, "amount": 10, **more}


@pytest.mark.parametrize(
    ("days", "gap", "expected"),
    [
        ([], None, None),
        ([0], None, None),
        ([0, 0.5], None, None),  # one purchase
        ([0, 1], Decimal("1.00"), 2),
        ([0, 100], Decimal("100.00"), 200),
        ([300, 0, 100], Decimal("150.00"), 450),
        ([0, 0, 0.9, 300, 300, 600.5], Decimal("300.25"), 900.75),  # three purchases
        ([0, 10, 20.5], Decimal("10.25"), 30.75),
        ([0, 1, 3, 10], Decimal("3.3333"), 10 + 10 / 3),
    ],
)
async def test_the_next_order_is_due_one_mean_pause_after_the_last(
    door: Door, days: list[float], gap: Decimal | None, expected: float | None
) -> None:
    await door("customers", {"external_id": "A"})
    await door("orders", *(order(place, day) for place, day in enumerate(days)))
    found = await door.one(activity)
    assert found["order_gap_days"] == gap
    due = None if expected is None else START + timedelta(days=expected)
    assert (found["next_order_expected_at"] is None) is (due is None)
    if due is not None:
        assert abs(found["next_order_expected_at"] - due) < timedelta(milliseconds=1)


async def test_only_orders_that_count_make_a_rhythm(door: Door) -> None:
    await door("orders", order(1, 0), order(2, 10, status="cancelled"), order(3, 20, status="pending"))
    assert (await door.one(activity))["order_gap_days"] is None
    await door("orders", order(2, 10, status="completed"))
    assert (await door.one(activity))["order_gap_days"] == 10
    await door("orders", order(3, 20, status="completed", refunded=1))
    assert (await door.one(activity))["next_order_expected_at"] == START + timedelta(days=30)


async def test_the_session_s_time_zone_moves_nothing(door: Door) -> None:
    await door.conn.execute(text("SET LOCAL TIME ZONE 'America/New_York'"))  # the clock jumps on 8 March
    await door("orders", order(1, 0), order(2, 4.5))
    assert (await door.one(activity))["next_order_expected_at"] == START + timedelta(days=9)
    assert await fold_orders(door.conn) == 0


async def test_a_merge_gives_two_halves_one_rhythm(door: Door) -> None:
    await door("orders", order(1, 0), order(1, 30, "B"), order(2, 90, "B"))
    await merge(door.conn, 1, 2, now=START)
    assert (await door.one(activity))["order_gap_days"] == 45


async def test_a_database_of_an_earlier_release_gets_its_rhythms(door: Door) -> None:
    await door("orders", order(1, 0), order(2, 10), order(1, 0, "B"), order(1, 0, "C"), order(2, 0.5, "C"))
    before = await door.all(activity)
    await door.conn.execute(update(activity).values(order_gap_days=None, next_order_expected_at=None))
    assert await fold_missing_rhythms(door.conn) == 1
    assert await door.all(activity) == before
    assert await fold_missing_rhythms(door.conn) == 0


async def test_the_daily_job_sees_to_it(house: House) -> None:
    async with house.database.begin() as conn:
        await Door(conn, house.settings)("orders", order(1, 0), order(2, 10))
        await conn.execute(update(activity).values(next_order_expected_at=None))
    await refresh_ranks_job(house)
    async with house.database.connect() as conn:
        found = await Door(conn, house.settings).one(activity)
    assert found["next_order_expected_at"] == START + timedelta(days=20)
    assert found["rfm_recency"] is not None

"""Events fall into their month, made ahead; what is out of reach waits in the default table."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.models import events
from tracking.partitions import make_ahead, name_of


async def home_of(conn: AsyncConnection, at: datetime) -> str:
    """The partition that an event at `at` lands in."""
    key = uuid4()
    row = {"customer_id": 1, "at": at, "key": key, "kind": "visit", "kind_folded": "visit"}
    await conn.execute(insert(events), row)
    return str(await conn.scalar(text("SELECT tableoid::regclass FROM events WHERE key = :key"), {"key": key}))


async def test_a_fresh_database_has_the_months_around_today(conn: AsyncConnection) -> None:
    assert (await home_of(conn, datetime.now(UTC))).startswith("events_y")


async def test_months_are_made_from_the_last_to_the_third_ahead(conn: AsyncConnection) -> None:
    now = datetime(2031, 11, 22, tzinfo=UTC)
    expected = ["events_y2031m10", "events_y2031m11", "events_y2031m12", "events_y2032m01", "events_y2032m02"]
    assert await make_ahead(conn, now) == expected
    assert await make_ahead(conn, now) == []


@pytest.mark.parametrize(
    ("at", "home"),
    [
        (datetime(2031, 10, 31, 23, 59, 59, 999999, tzinfo=UTC), "events_y2031m10"),
        (datetime(2031, 11, 1, tzinfo=UTC), "events_y2031m11"),
        (datetime(1999, 1, 1, tzinfo=UTC), "events_default"),
        (datetime(2032, 3, 1, tzinfo=UTC), "events_default"),
    ],
)
async def test_an_event_falls_into_its_month(conn: AsyncConnection, at: datetime, home: str) -> None:
    await make_ahead(conn, datetime(2031, 11, 22, tzinfo=UTC))
    assert await home_of(conn, at) == home


async def test_early_comers_move_from_the_default_into_their_month(conn: AsyncConnection) -> None:
    at = datetime(2031, 11, 5, tzinfo=UTC)
    assert await home_of(conn, at) == "events_default"
    await make_ahead(conn, datetime(2031, 11, 1, tzinfo=UTC))
    assert await conn.scalar(text("SELECT count(*) FROM events_y2031m11")) == 1
    assert await conn.scalar(text("SELECT count(*) FROM events_default")) == 0
    assert await home_of(conn, at) == name_of(at) == "events_y2031m11"

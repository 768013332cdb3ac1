"""Growth and cohorts against a plain evaluation of what they promise, over drawn orders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers import base as bases
from customers.base import base
from customers.growth import Cohort, Growth, Month, cohorts, growth
from customers.models import orders
from runtime.database import Database

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ZONE = "Asia/Shanghai"
DAY = timedelta(days=1)
STATUS = st.sampled_from(["completed", "completed", "partly_refunded", "cancelled", "refunded"])
Sold = tuple[int, int, str]  # customer, days before NOW, status
SOLD = st.lists(st.tuples(st.integers(1, 4), st.integers(-3, 500), STATUS), max_size=14)


async def put(conn: AsyncConnection, sold: Sequence[Sold]) -> None:
    await conn.execute(text("TRUNCATE orders"))
    rows = [
        {"customer_id": who, "number": str(n), "status": status, "ordered_at": NOW - days * DAY, "amount": 10}
        for n, (who, days, status) in enumerate(sold)
    ]
    if rows:
        await conn.execute(insert(orders), rows)


def times(sold: Sequence[Sold]) -> dict[int, list[datetime]]:
    """When each customer's orders that count were, those to come left out."""
    found: dict[int, list[datetime]] = {}
    for who, days, status in sold:
        if status in ("completed", "partly_refunded") and days > 0:
            found.setdefault(who, []).append(NOW - days * DAY)
    return {who: sorted(when) for who, when in found.items()}


def start_of(months_ago: int) -> datetime:
    count = NOW.year * 12 + NOW.month - 1 - months_ago
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=ZoneInfo(ZONE))


def active(when: Sequence[datetime], at: datetime, days: int) -> bool:
    """Just before `at`: whether the last order before it was less than `days` ago."""
    return any(at - days * DAY <= each < at for each in when)


def expected(sold: Sequence[Sold], days: int, span: int) -> list[Month]:
    """Day by day is not fine enough: what begins and ends within a month counts both times, by each order."""
    made = []
    for ago in range(span, -1, -1):
        since, until = start_of(ago), min(start_of(ago - 1), NOW)
        new = back = lost = 0
        for when in times(sold).values():
            unique = sorted(set(when))
            for place, at in enumerate(unique):
                follows = place > 0
                if since <= at < until and (not follows or unique[place - 1] + days * DAY <= at):
                    back += follows
                    new += not follows
                end, last = at + days * DAY, place + 1 == len(unique)
                if since <= end < until and (last or unique[place + 1] >= end):
                    lost += 1
        made.append(Month(f"{since:%Y-%m}", new, back, lost, sum(active(w, until, days) for w in times(sold).values())))
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SOLD, st.sampled_from([20, 90, 365]))
async def test_growth_agrees_with_its_definition(db: Database, sold: list[Sold], days: int) -> None:
    async with db.begin() as conn:
        await put(conn, sold)
        found = await growth(conn, now=NOW, timezone=ZONE, days=days)
    assert list(found.months) == expected(sold, days, 12)
    for earlier, later in pairwise(found.months):
        assert later.before == earlier.active


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SOLD)
async def test_cohorts_agree_with_their_definition(db: Database, sold: list[Sold]) -> None:
    async with db.begin() as conn:
        await put(conn, sold)
        found = await cohorts(conn, now=NOW, timezone=ZONE)
    months = {
        who: {when.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m") for when in each} for who, each in times(sold).items()
    }
    wanted = []
    for ago in range(11, -1, -1):
        mine = [each for each in months.values() if min(each) == f"{start_of(ago):%Y-%m}"]
        stayed = [sum(f"{start_of(later):%Y-%m}" in each for each in mine) for later in range(ago, -1, -1)]
        if mine:
            wanted.append(Cohort(f"{start_of(ago):%Y-%m}", len(mine), stayed))
    assert found == wanted


def test_what_doubles_in_a_year() -> None:
    """100 customers become 200 in twelve months: 2 to the twelfth root a month."""
    counts = [round(100 * 2 ** (n / 12)) for n in range(13)]
    made = [Month(str(n), after - before, 0, 0, after) for n, (before, after) in enumerate(pairwise(counts))]
    found = Growth([*made, Month("now", 0, 0, 150, 50)])
    assert found.monthly is not None
    assert found.doubling is not None
    assert abs(found.monthly - (2 ** (1 / 12) - 1)) < 1e-12
    assert abs(found.doubling - 12) < 1e-9
    assert Growth([Month("a", 0, 0, 0, 5), Month("b", 0, 0, 0, 5)]).doubling is None
    assert Growth([Month("a", 3, 0, 0, 3), Month("b", 0, 0, 0, 3)]).monthly is None


async def test_many_orders_are_shown_as_they_were_counted_and_counted_anew_behind_the_page(
    conn: AsyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(conn, [(1, 40, "completed"), (2, 20, "completed")])
    few = await base(conn, days=90, now=NOW, timezone=ZONE)
    monkeypatch.setattr(bases, "MANY", 1)
    first = await base(conn, days=90, now=NOW, timezone=ZONE)
    assert (few, first.growth.months[-1].active) == (first, 2)
    await put(conn, [(who, 20, "completed") for who in range(1, 4)])
    soon = await base(conn, days=90, now=NOW + bases.REST, timezone=ZONE)
    assert (soon.kept, soon.counted_at, soon.growth, soon.cohorts) == (True, NOW, first.growth, first.cohorts)
    queued = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'customers.count_growth'")
    assert await conn.scalar(queued) == 0
    for _ in range(2):
        assert (await base(conn, days=90, now=NOW + 2 * bases.REST, timezone=ZONE)).growth == first.growth
    assert await conn.scalar(queued) == 1
    assert (await base(conn, days=30, now=NOW, timezone=ZONE)).growth.months[-1].active == 3  # a page of its own
    late = await base(conn, days=90, now=NOW + 2 * bases.OLDEST, timezone=ZONE)
    assert (late.kept, late.growth.months[-1].active) == (False, 3)

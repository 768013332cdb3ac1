"""Numbers that fade: an algebra on instants, in Python and in SQL alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import DateTime, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.fading import Fading

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FADING = Fading(timedelta(days=90))
LAST_DIGIT = timedelta(milliseconds=1)

instants = st.timedeltas(timedelta(0), timedelta(days=3980)).map(lambda back: NOW - back)
earned = st.tuples(st.integers(1, 50), instants)
values = st.decimals(0, 500, places=2)
on_a_database = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def exactly(points: list[tuple[int, datetime]], now: datetime) -> float:
    return sum(amount * 2 ** ((at - now) / FADING.half_life) for amount, at in points)


def test_half_is_left_after_a_half_life() -> None:
    until = FADING.earned(4, NOW)
    worth = [FADING.value(until, NOW + timedelta(days=days)) for days in (0, 90, 180, 10_000)]
    assert worth == [Decimal("4.00"), Decimal("2.00"), Decimal("1.00"), Decimal("0.00")]
    assert FADING.value(None, NOW) is None


@given(st.lists(earned, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_in_any_order_the_sum_is_the_same(points: list[tuple[int, datetime]], rng: object) -> None:
    stored = [FADING.earned(*one) for one in points]
    shuffled = stored[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = reduce(FADING.joined, stored), reduce(FADING.joined, shuffled)
    assert abs(one - other) < LAST_DIGIT
    exact = exactly(points, NOW)
    assert float(FADING.value(one, NOW) or 0) == pytest.approx(exact, abs=0.0051, rel=1e-6)


@given(instants, instants, instants)
def test_joining_does_not_care_who_comes_first(one: datetime, other: datetime, third: datetime) -> None:
    assert FADING.joined(one, other) == FADING.joined(other, one) >= max(one, other)
    left, right = FADING.joined(FADING.joined(one, other), third), FADING.joined(one, FADING.joined(other, third))
    assert abs(left - right) < LAST_DIGIT


@given(instants, values, st.integers(0, 400))
def test_at_least_is_a_comparison_with_an_instant(until: datetime, value: Decimal, days: int) -> None:
    now = NOW + timedelta(days=days)
    worth = FADING.value(until, now)
    assert worth is not None
    if abs(until - FADING.at_least(value, now)) > LAST_DIGIT:
        assert (until >= FADING.at_least(value, now)) is (worth >= value)
    if abs(until - FADING.more_than(value, now)) > LAST_DIGIT:
        assert (until >= FADING.more_than(value, now)) is (worth > value)


@pytest.mark.parametrize("value", ["-1", "1e40", "0." + "0" * 39 + "1", "0", "1e12"])
def test_bounds_of_any_size(value: str) -> None:
    low, high = FADING.at_least(Decimal(value), NOW), FADING.more_than(Decimal(value), NOW)
    assert low <= high


@on_a_database
@given(points=st.lists(earned, min_size=1, max_size=8))
async def test_the_database_reckons_alike(conn: AsyncConnection, points: list[tuple[int, datetime]]) -> None:
    stored = [FADING.earned(*one) for one in points]
    expected = reduce(FADING.joined, stored)
    summed = f"""
        SELECT {FADING.sum_sql("until", "top")}
        FROM (SELECT until, max(until) OVER () AS top FROM unnest(CAST(:untils AS timestamptz[])) AS until) each
    """
    assert abs(await conn.scalar(text(summed), {"untils": stored}) - expected) < LAST_DIGIT
    two = text(f"SELECT {FADING.joined_sql('CAST(:one AS timestamptz)', 'CAST(:other AS timestamptz)')}")
    for one, other in ((stored[0], stored[-1]), (stored[0], None), (None, stored[0]), (None, None)):
        found = await conn.scalar(two, {"one": one, "other": other})
        joined = FADING.joined(one, other) if one and other else one or other
        assert found == joined or abs(found - joined) < LAST_DIGIT
    now = literal(NOW, DateTime(timezone=True))
    told = await conn.scalar(select(FADING.value_sql(literal(expected, DateTime(timezone=True)), now)))
    assert abs(told - FADING.value(expected, NOW)) <= Decimal("0.01")

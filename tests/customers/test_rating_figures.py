"""Summaries of ratings: what the formulas say, and that they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.rating_figures import Asked, Summary, figures
from customers.ratings import About, comment_rating, record_rating
from customers.surveys import SURVEYS
from tests.customers.test_ratings import answer
from tests.tracking.people_with_mail import make_people

NPS_SCORES = st.lists(st.integers(0, 10), max_size=50)
CSAT_SCORES = st.lists(st.integers(1, 5), max_size=50)


def of(survey: str, scores: Sequence[int]) -> Summary:
    return Summary(survey, Counter(scores))


@pytest.mark.parametrize(
    ("scores", "nps"),
    [
        ([], None),
        ([9, 10], Decimal(100)),
        ([0, 6], Decimal(-100)),
        ([7, 8], Decimal(0)),
        ([10, 10, 8, 3], Decimal(25)),  # 2 promoters, 1 passive, 1 detractor of 4
        ([9, 9, 9, 9, 9, 9, 9, 7, 5, 5], Decimal(50)),
    ],
)
def test_the_net_promoter_score_is_reichhelds(scores: list[int], nps: Decimal | None) -> None:
    assert of("nps", scores).value == nps


@given(NPS_SCORES)
def test_nps_is_the_difference_of_two_shares(scores: list[int]) -> None:
    found = of("nps", scores)
    if not scores:
        assert found.value is found.average is None
        return
    plain = 100 * (sum(score >= 9 for score in scores) - sum(score <= 6 for score in scores)) / len(scores)
    assert found.value is not None
    assert abs(float(found.value) - plain) < 1e-4
    assert -100 <= found.value <= 100
    assert sum(found.groups.values()) == found.answers == sum(found.distribution) == len(scores)


@given(CSAT_SCORES)
def test_the_share_of_the_satisfied(scores: list[int]) -> None:
    found = of("csat", scores)
    if scores:
        assert found.value is not None
        assert found.average is not None
        assert abs(float(found.value) - sum(score >= 4 for score in scores) / len(scores)) < 1e-4
        assert abs(float(found.average) - sum(scores) / len(scores)) < 1e-4
        assert found.bad == sum(score <= 2 for score in scores)


@given(NPS_SCORES, NPS_SCORES)
def test_two_summaries_added_are_that_of_all(one: list[int], other: list[int]) -> None:
    both = of("nps", one) + of("nps", other)
    assert (both.distribution, both.value) == (of("nps", one + other).distribution, of("nps", one + other).value)


async def test_groups_come_from_what_counts(conn: AsyncConnection) -> None:
    people = await make_people(conn, 4)
    day = timedelta(days=1) // timedelta(minutes=1)
    given: list[tuple[int, int, dict[str, Any]]] = [
        (5, 0, {"about": About(provider="A", category="fridge"), "salesperson": "s1"}),
        (2, 1, {"about": About(provider="A"), "salesperson": "s1"}),
        (4, 15 * day, {"about": About(provider="B", category="fridge"), "salesperson": "s2"}),
        (1, 15 * day, {"machine": "scanner", "about": About(provider="B")}),
    ]
    for person, (score, minute, more) in zip(people, given, strict=True):
        await record_rating(conn, answer(person, score, minute, **more))
    await record_rating(conn, answer(people[1], 3, 2, about=About(provider="A"), salesperson="s1"))
    await comment_rating(conn, people[1], answer(people[1], 3).asked, "Der Kühlschrank 100% laut_", datetime.now(UTC))
    whole = Asked("csat")
    found = await figures(conn, whole, "Asia/Shanghai")
    assert {name: one.answers for name, one in found.groups["provider"].items()} == {"A": 2, "B": 1}
    assert {name: one.answers for name, one in found.groups["category"].items()} == {"fridge": 2}
    months = found.months
    assert [(name, one.answers) for name, one in months.items()] == [("2026-11", 2), ("2026-12", 1)]
    assert sum(months.values(), Summary("csat")).distribution == [0, 0, 1, 1, 1]
    for asked, count in (
        (Asked("nps"), 0),
        (Asked("csat", provider="A"), 2),
        (Asked("csat", salesperson="s2"), 1),
        (Asked("csat", end=datetime(2026, 12, 1, tzinfo=UTC)), 2),
        (Asked("csat", start=datetime(2026, 12, 1, tzinfo=UTC)), 1),
        (Asked("csat", q="KÜHLSCHRANK 100%"), 1),
        (Asked("csat", q="100_"), 0),
        (Asked("csat", commented=True), 1),
        (Asked("csat", bad=True), 0),
    ):
        months = (await figures(conn, asked, "UTC")).months
        assert sum(one.answers for one in months.values()) == count, asked
    assert set(SURVEYS) == {"csat", "nps"}

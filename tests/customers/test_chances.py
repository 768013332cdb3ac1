"""BG/NBD: the estimates of the paper, what they say of a history, and what the daily job makes of a workspace."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from importlib.metadata import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from customers.activity import fold_orders
from customers.bgnbd import Histories, Model, NoFit, chance_active, expected_purchases, fit, log_likelihood
from customers.chances import FEWEST, TOO_FEW, estimate_chances, estimate_chances_daily, estimate_of
from customers.models import activity, customers, orders
from runtime.house import House
from runtime.leader import acquire

NOW = datetime(2026, 11, 23, tzinfo=UTC)
PAPER = Model(r=0.243, alpha=4.414, a=0.793, b=2.426)

models = st.builds(Model, r=st.floats(0.05, 5), alpha=st.floats(0.1, 200), a=st.floats(0.05, 5), b=st.floats(0.05, 10))
histories = st.tuples(st.integers(0, 300), st.floats(0.1, 500), st.floats(0, 1))  # repeats, age, recency / age


@pytest.fixture(scope="module")
def cdnow() -> Histories:
    """2,357 customers of a seller of music, from 1997-01 to 1997-06, as the paper has them."""
    [name] = [file for file in files("lifetimes") or () if file.name == "cdnow_customers_summary.csv"]
    with open(str(name.locate()), newline="") as file:  # noqa: PTH123 -- a path of importlib
        rows = [[float(row[key]) for key in ("frequency", "recency", "T")] for row in csv.DictReader(file)]
    assert len(rows) == 2357
    return Histories(*np.array(rows).T, np.ones(len(rows)))


def one(model: Model, repeats: float, recency: float, age: float) -> float:
    return float(chance_active(model, *(np.array([value]) for value in (float(repeats), recency, age)))[0])


def test_the_estimates_of_the_paper(cdnow: Histories) -> None:
    found = fit(cdnow)
    assert [round(value, 3) for value in (found.r, found.alpha, found.a, found.b)] == [0.243, 4.414, 0.793, 2.426]
    assert log_likelihood(found, cdnow) == pytest.approx(-9582.4, abs=0.05)


def test_those_alike_may_be_counted_together(cdnow: Histories) -> None:
    rows = np.column_stack([cdnow.repeats, cdnow.recency, cdnow.age])
    alike, count = np.unique(rows, axis=0, return_counts=True)
    assert len(alike) < 2000
    together = fit(Histories(*alike.T, count.astype(float)))
    assert [round(value, 3) for value in (together.r, together.alpha)] == [0.243, 4.414]


def test_the_customer_of_the_paper() -> None:
    """Who bought twice more in 38.86 weeks, last in week 30.43, will buy 1.226 times in the next 39."""
    history = (np.array([2.0]), np.array([30.43]), np.array([38.86]))
    assert expected_purchases(PAPER, 39, *history)[0] == pytest.approx(1.226, abs=5e-4)
    assert chance_active(PAPER, *history)[0] == pytest.approx(0.727, abs=1e-3)


@given(models, histories)
def test_a_chance_is_one(model: Model, history: tuple[int, float, float]) -> None:
    repeats, age, share = history
    chance = one(model, repeats, age * share if repeats else 0, age)
    assert 0 <= chance <= 1
    if repeats == 0:
        assert chance == 1


@given(models, histories, st.floats(0, 1))
def test_the_longer_ago_the_less_likely(model: Model, history: tuple[int, float, float], other: float) -> None:
    repeats, age, share = history
    early, late = sorted((share, other))
    assert one(model, repeats, age * early, age) <= one(model, repeats, age * late, age) + 1e-12
    assert one(model, repeats, age * late, age * 1.5) <= one(model, repeats, age * late, age) + 1e-12


@given(models, histories, st.floats(1, 100))
def test_what_is_expected_is_finite_and_grows_with_time(
    model: Model, history: tuple[int, float, float], weeks: float
) -> None:
    repeats, age, share = history
    asked = [np.array([value]) for value in (float(repeats), age * share if repeats else 0.0, age)]
    near, far = (float(expected_purchases(model, span, *asked)[0]) for span in (weeks, weeks * 2))
    assert 0 <= near <= far * (1 + 1e-6) + 1e-9
    assert far < 1e9


def test_where_nobody_leaves_there_is_no_fit() -> None:
    """Each buys weekly to the very end: nothing tells when they would leave."""
    weeks = np.full(50, 100.0)
    with pytest.raises(NoFit):
        fit(Histories(weeks, weeks, weeks, np.ones(50)))


async def workspace_of(house: House, came_back: int, rng: np.random.Generator) -> list[int]:
    """Buyers of whom so many came back, in rhythms of their own, some of whom left."""
    async with house.database.begin() as conn:
        rows = [{"name": f"Person {number}"} for number in range(came_back * 2)]
        ids = list((await conn.execute(insert(customers).returning(customers.c.id), rows)).scalars())
        await conn.execute(insert(activity), [{"customer_id": person} for person in ids])
        bought: list[dict[str, Any]] = []
        for place, person in enumerate(ids):
            at, gap = NOW - timedelta(days=float(rng.uniform(200, 900))), float(rng.uniform(5, 90))
            for number in range(int(rng.geometric(0.2)) + 1 if place < came_back else 1):
                bought.append({"customer_id": person, "number": f"{person}-{number}", "ordered_at": at, "amount": 10})
                at += timedelta(days=1 + float(rng.exponential(gap)))
                if at > NOW:
                    break
        await conn.execute(insert(orders), [{**row, "status": "completed"} for row in bought])
        await fold_orders(conn)
    return ids


async def test_the_job_estimates_everybody_who_came_back(house: House) -> None:
    ids = await workspace_of(house, 150, np.random.default_rng(3))
    made = await estimate_chances(house, NOW)
    assert made.model is not None
    assert (made.buyers, made.lacking) == (300, None)
    async with house.database.begin() as conn:
        assert await estimate_of(conn) == made
        rows = (await conn.execute(select(activity).where(activity.c.first_order_at.is_not(None)))).all()
        assert all((row.chance_active is None) is (row.order_gap_days is None) for row in rows)
        judged = [row for row in rows if row.chance_active is not None]
        model = Model(**made.model)
        for row in judged[:20]:
            count = len((await conn.execute(select(orders).where(orders.c.customer_id == row.customer_id))).all())
            week = timedelta(weeks=1)
            span, age = (row.last_order_at - row.first_order_at) / week, (NOW - row.first_order_at) / week
            assert float(row.chance_active) == pytest.approx(one(model, count - 1, span, age), abs=0.006)
        await conn.execute(text("DELETE FROM changed_customers"))
    again = await estimate_chances(house, NOW)
    assert again.model == pytest.approx(made.model)
    async with house.database.begin() as conn:  # nothing differed, so nobody is looked at again
        assert await conn.scalar(text("SELECT count(*) FROM changed_customers")) == 0
        await conn.execute(
            insert(orders),
            {"customer_id": ids[0], "number": "new", "ordered_at": NOW, "amount": 1, "status": "completed"},
        )
        await fold_orders(conn, [ids[0]])
        fresh = (await conn.execute(select(activity).where(activity.c.customer_id == ids[0]))).one()
    assert (fresh.chance_active, fresh.orders_expected) == (None, None)


async def test_too_few_who_came_back_say_nothing(house: House) -> None:
    await workspace_of(house, FEWEST // 3, np.random.default_rng(3))
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE activity SET chance_active = 0.5, orders_expected = 1"))
    made = await estimate_chances(house, NOW)
    assert (made.model, made.lacking) == (None, TOO_FEW)
    async with house.database.connect() as conn:
        assert await conn.scalar(text("SELECT count(chance_active) FROM activity")) == 0


async def test_a_first_import_need_not_wait_for_tomorrow(house: House) -> None:
    """The estimate of an empty workspace is no estimate for today; one that says something is."""
    async with house.database.begin() as conn:
        term = await acquire(conn, "scheduler", "test")
    assert term is not None

    async def asked() -> bool:
        await estimate_chances_daily(house, term, NOW)
        async with house.database.begin() as conn:
            return bool((await conn.execute(text("DELETE FROM procrastinate_jobs RETURNING id"))).all())

    assert await asked()
    assert not await asked()  # that job still runs
    await estimate_chances(house, NOW)
    await workspace_of(house, FEWEST + 50, np.random.default_rng(3))
    assert await asked()
    assert (await estimate_chances(house, NOW)).lacking is None
    assert not await asked()

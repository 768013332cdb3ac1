"""Attribution against a plain evaluation of its docstring, over drawn touches, orders, refunds and merges."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.attribution import Earned, Model, compared, earned
from campaigns.models import campaigns
from campaigns.windows import OwnCosts, Windows, costs, own_costs, save_own_costs, save_windows, windows_now
from customers.models import orders
from runtime.database import Database
from runtime.errors import Invalid
from tracking.models import events, messages

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUNS = {11: 1, 12: 1, 21: 2, 31: 3}  # by campaign
HOUR = timedelta(hours=1)
_keys = itertools.count(1)


@dataclass(frozen=True)
class Touch:
    person: int
    run_id: int
    hours: int  # before NOW
    kind: str
    machine: bool


@dataclass(frozen=True)
class Order:
    person: int
    hours: int
    amount: Decimal
    refunded: Decimal
    margin: Decimal | None
    status: str


HOURS = st.integers(0, 40 * 24).map(lambda n: n) | st.sampled_from([0, 24, 71, 72, 73, 719, 720, 721])
TOUCHES = st.builds(
    Touch,
    st.integers(1, 3),
    st.sampled_from(sorted(RUNS)),
    HOURS,
    st.sampled_from(["opened", "clicked", "viewed", "unsubscribed"]),
    st.sampled_from([False, False, False, True]),
)
CENTS = st.integers(0, 100_000).map(lambda n: Decimal(n) / 100)
ORDERS = st.builds(
    Order,
    st.integers(1, 3),
    HOURS,
    CENTS,
    CENTS,
    st.none() | CENTS,
    st.sampled_from(["completed", "partly_refunded", "cancelled", "pending"]),
).map(
    lambda one: replace(one, refunded=min(one.refunded, one.amount) if one.status == "partly_refunded" else Decimal(0))
)
WINDOWS = st.builds(Windows, st.sampled_from([1, 3, 30]), st.sampled_from([0, 1, 3, 35]))


def expected(
    touches: Sequence[Touch], sold: Sequence[Order], windows: Windows, survivors: Mapping[int, int]
) -> dict[int, dict[Model, Earned]]:
    """The definition, one order after the other."""
    found: dict[int, dict[Model, list[Earned]]] = defaultdict(lambda: {model: [] for model in Model})
    for order in sold:
        if order.status not in ("completed", "partly_refunded"):
            continue
        at, by_run = NOW - order.hours * HOUR, defaultdict(list)
        for touch in touches:
            days = {"clicked": windows.click_days, "opened": windows.open_days, "viewed": windows.open_days}
            when = NOW - touch.hours * HOUR
            mine = survivors[touch.person] == survivors[order.person]
            if mine and not touch.machine and at - timedelta(days=days.get(touch.kind, 0)) < when <= at:
                by_run[touch.run_id].append(when)
        if by_run:
            _credit(found, order, by_run)
    return {campaign: {model: _sum(parts[model]) for model in Model} for campaign, parts in found.items()}


def _credit(
    found: dict[int, dict[Model, list[Earned]]], order: Order, by_run: Mapping[int, Sequence[datetime]]
) -> None:
    revenue = order.amount - order.refunded
    kept = revenue / order.amount if order.amount else Decimal(0)
    margin = ((order.margin or Decimal(0)) * kept).quantize(Decimal("0.0001"))
    whole = Earned(Decimal(1), revenue, margin)
    ordered = sorted(by_run, key=lambda run: (min(by_run[run]), run))
    found[RUNS[ordered[0]]][Model.FIRST].append(whole)
    found[RUNS[max(by_run, key=lambda run: (max(by_run[run]), run))]][Model.LAST].append(whole)
    for run in ordered:
        n = len(ordered)
        found[RUNS[run]][Model.LINEAR].append(Earned(1 / Decimal(n), revenue / n, margin / n))


def _sum(parts: Sequence[Earned]) -> Earned:
    zero = Decimal(0)
    return Earned(
        sum((p.orders for p in parts), zero),
        sum((p.revenue for p in parts), zero),
        sum((p.margin for p in parts), zero),
    )


async def play(
    conn: AsyncConnection, touches: Sequence[Touch], sold: Sequence[Order], survivors: Mapping[int, int]
) -> None:
    await conn.execute(text("TRUNCATE customers, messages, events, orders"))
    people = [{"id": one, "merged_into": None if survivors[one] == one else survivors[one]} for one in survivors]
    await conn.execute(
        text("INSERT INTO customers (id, merged_into) OVERRIDING SYSTEM VALUE VALUES (:id, :merged_into)"), people
    )
    reached = {(t.person, t.run_id) for t in touches}
    seen = {(t.person, t.run_id) for t in touches if not t.machine and t.kind != "unsubscribed"}
    for person, run_id in reached:
        opened = NOW if (person, run_id) in seen else None
        key = {"customer_id": person, "run_id": run_id, "campaign_id": RUNS[run_id]}
        await conn.execute(insert(messages).values(**key, channel="email", state="sent", sent_at=NOW, opened_at=opened))
    rows = [
        {
            "customer_id": t.person, "at": NOW - t.hours * HOUR, "key": UUID(int=next(_keys)), "kind": t.kind,
            "kind_folded": t.kind, "run_id": t.run_id, "campaign_id": RUNS[t.run_id], "step": 0, "machine": t.machine,
        }
        for t in touches
    ]  # fmt: skip
    if rows:
        await conn.execute(insert(events), rows)
    made = [
        {
            "customer_id": survivors[o.person], "number": str(n), "status": o.status,
            "ordered_at": NOW - o.hours * HOUR,
            "amount": o.amount, "refunded": o.refunded, "margin": o.margin,
        }
        for n, o in enumerate(sold)
    ]  # fmt: skip
    if made:
        await conn.execute(insert(orders), made)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TOUCHES, max_size=14), st.lists(ORDERS, max_size=6), WINDOWS, st.booleans())
async def test_every_model_agrees_with_its_definition(
    db: Database, touches: list[Touch], sold: list[Order], windows: Windows, merged: bool
) -> None:
    survivors = {1: 1, 2: 1 if merged else 2, 3: 3}
    async with db.begin() as conn:
        await play(conn, touches, sold, survivors)
        found = await compared(conn, [1, 2, 3], windows)
        alone = {n: got for n in (1, 2, 3) for got in [(await compared(conn, [n], windows)).get(n)] if got}
    wanted = expected(touches, sold, windows, survivors)
    assert alone == found  # who else is asked for changes nothing
    assert set(found) == set(wanted)
    for campaign, models in wanted.items():
        for model in (Model.LAST, Model.FIRST):
            assert found[campaign][model] == models[model]
        for name in ("orders", "revenue", "margin"):
            near = getattr(models[Model.LINEAR], name)
            assert abs(getattr(found[campaign][Model.LINEAR], name) - near) < Decimal("0.02") * (len(sold) + 1)
    for name in ("orders", "revenue", "margin"):  # each model gives every order away, once and whole
        sums = {sum((getattr(models[model], name) for models in found.values()), Decimal(0)) for model in Model}
        assert len(sums) == 1


async def test_orders_that_come_late_and_refunds_change_the_credit(conn: AsyncConnection) -> None:
    touches = [Touch(1, 11, 48, "clicked", False), Touch(1, 21, 5, "opened", False)]
    order = Order(1, 1, Decimal(90), Decimal(0), Decimal(30), "completed")
    await play(conn, touches, [order], {1: 1})
    assert await earned(conn, [1, 2]) == {2: Earned(Decimal(1), Decimal(90), Decimal(30))}
    late = {"customer_id": 1, "number": "late", "status": "completed", "amount": 10, "ordered_at": NOW - 24 * HOUR}
    await conn.execute(insert(orders).values(late))
    await conn.execute(update(orders).where(orders.c.number == "0").values(status="partly_refunded", refunded=60))
    found = await earned(conn, [1, 2])
    assert found == {1: Earned(Decimal(1), Decimal(10)), 2: Earned(Decimal(1), Decimal(30), Decimal(10))}
    assert (await earned(conn, [1, 2], Model.FIRST))[1].revenue == 40
    await conn.execute(update(orders).where(orders.c.number == "0").values(status="refunded", refunded=90))
    assert set(await earned(conn, [1, 2])) == {1}


async def test_windows_and_costs_of_the_workspace(conn: AsyncConnection) -> None:
    assert await windows_now(conn) == Windows(30, 3)
    given = {"click_days": "7", "open_days": 0, "costs": {"email": "0.02"}}
    saved = await save_windows(conn, given, by="me", now=NOW)
    assert saved == await windows_now(conn) == Windows(7, 0, {"email": Decimal("0.02")})
    await play(
        conn, [Touch(1, 21, 1, "opened", False)], [Order(1, 0, Decimal(9), Decimal(0), None, "completed")], {1: 1}
    )
    assert await earned(conn, [2]) == {}
    made = insert(campaigns).returning(campaigns.c.id)
    first, second = [await conn.scalar(made.values(name=name, channel="email")) for name in "ab"]
    assert first is not None
    assert second is not None
    await save_own_costs(conn, second, "120.5", "", by="me", now=NOW)
    assert await costs(conn, {first: 1000, second: 10}) == {first: 20, second: Decimal("120.7")}
    await save_own_costs(conn, second, 0, "1.5", by="me", now=NOW)
    assert await own_costs(conn, second) == OwnCosts(Decimal(0), Decimal("1.5"))
    assert (await costs(conn, {second: 10}))[second] == 15


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"click_days": 0}, "click_days"),
        ({"open_days": -1}, "open_days"),
        ({"click_days": "many"}, "click_days"),
        ({"costs": {"email": "NaN"}}, "costs.email"),
        ({"costs": {"email": "-1"}}, "costs.email"),
        ({"costs": {"pigeon": 1}}, "costs.pigeon"),
    ],
)
async def test_what_cannot_be_a_window_or_a_cost(conn: AsyncConnection, given: dict[str, object], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        await save_windows(conn, given, by=None, now=NOW)
    assert [problem.path for problem in caught.value.problems] == [path]

"""Whether those who bought more than once still do, and how much they will: estimated daily for the whole workspace.

Each purchase of the workspace's customers goes into one model of four numbers (customers/bgnbd.py); by it each history
has a chance that its customer is still active, and the purchases to expect of them within a year. Who bought once has
no history to judge by and gets no estimate; a workspace with too few who came back gets none for anybody, and says so.
An order makes the old estimate void until the next day (customers/activity.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, change_and_note
from runtime.clock import local_date, utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.models import workspace
from runtime.scheduler import tick
from runtime.workspace import put

if TYPE_CHECKING:
    from customers.bgnbd import Histories, Model

FEWEST = 100
"""So many must have come back before their rates and their leaving can be told from chance."""
TOO_FEW, UNFIT = "too_few", "unfit"
WEEKS = 52

_KEY, _ESTIMATED_ON = "buying_model", "chances_estimated_on"
_SAMPLE = 50_000  # more histories do not change the third digit
_CHUNK = 20_000


@dataclass(frozen=True)
class Estimate:
    """What the workspace's purchases told: the model's numbers (`alpha` in weeks), or `lacking`: why there are none."""

    at: str
    buyers: int
    came_back: int
    model: Mapping[str, float] | None
    lacking: str | None = None


async def estimate_of(conn: AsyncConnection) -> Estimate | None:
    """The latest one; None before the first."""
    found = await conn.scalar(select(workspace.c.value).where(workspace.c.key == _KEY))
    return Estimate(**found) if found else None


async def estimate_chances(house: House, now: datetime) -> Estimate:
    """Fit the model anew, and write down what it says of everybody who bought more than once."""
    from customers import bgnbd  # numpy and scipy: 60 MB that only this job needs

    async with house.database.connect() as conn:
        buyers, came_back = (await conn.execute(_COUNT)).one()
        histories = await _histories(conn, buyers, now) if came_back >= FEWEST else None
    model: Model | None = None
    lacking: str | None = TOO_FEW
    if histories is not None:
        try:
            model, lacking = await asyncio.to_thread(bgnbd.fit, histories), None
        except bgnbd.NoFit:
            lacking = UNFIT
    made = Estimate(now.isoformat(), buyers, came_back, asdict(model) if model else None, lacking)
    async with house.database.begin() as conn:
        await put(conn, _KEY, asdict(made))
        if model is None:
            await change_and_note(conn, ACTIVITY, _FORGET)
    if model is not None:
        await _write(house, model, now)
    return made


@job("customers.estimate_chances")
async def estimate_chances_job(house: House) -> None:
    await estimate_chances(house, utc_now())


@tick(every=timedelta(minutes=15))
async def estimate_chances_daily(house: House, term: Term, now: datetime) -> None:
    """Once per day of the workspace; while too few have come back, whenever asked: an import may have brought them."""
    today = local_date(now, house.settings.timezone).isoformat()
    async with house.database.begin() as conn:
        await check_term(conn, term)
        estimated_on = await conn.scalar(select(workspace.c.value).where(workspace.c.key == _ESTIMATED_ON))
        latest = await estimate_of(conn)
        if estimated_on != today or (latest is not None and latest.lacking == TOO_FEW):
            await put(conn, _ESTIMATED_ON, today)
            await defer(conn, estimate_chances_job, queueing_lock="customers.estimate_chances")


async def _histories(conn: AsyncConnection, buyers: int, now: datetime) -> Histories:
    from customers.bgnbd import Histories

    one_in = -(-buyers // _SAMPLE)
    rows = (await conn.execute(_ALIKE, {"now": now, "one_in": one_in})).all()
    return Histories(*_columns(rows, 4))


async def _write(house: House, model: Model, now: datetime) -> None:
    """By the ten thousand, each in a transaction of its own: nobody who orders meanwhile waits for all of them."""
    after = 0
    while True:
        async with house.database.begin() as conn:
            rows = (await conn.execute(_NEXT, {"now": now, "after": after, "limit": _CHUNK})).all()
            if not rows:
                return
            await change_and_note(conn, ACTIVITY, _SET, await asyncio.to_thread(_judged, model, rows))
        after = rows[-1].customer_id


def _judged(model: Model, rows: Any) -> dict[str, Any]:
    from customers import bgnbd

    repeats, recency, age = _columns([row[1:4] for row in rows], 3)
    return {
        "ids": [row.customer_id for row in rows],
        "lasts": [row.last_order_at for row in rows],
        "chances": bgnbd.chance_active(model, repeats, recency, age).round(2).tolist(),
        "expected": bgnbd.expected_purchases(model, WEEKS, repeats, recency, age).round(1).clip(0, 99999).tolist(),
    }


def _columns(rows: Any, width: int) -> Any:
    import numpy as np

    return np.array(rows, dtype=np.float64).reshape(-1, width).T


# Purchases after the first, from the first to the last, and from the first until now: the rhythm says how many.
_HISTORY = """
    coalesce(round(extract(epoch FROM last_order_at - first_order_at) / 86400 / order_gap_days), 0) AS repeats,
    CASE WHEN order_gap_days IS NULL THEN 0 ELSE extract(epoch FROM last_order_at - first_order_at) / 604800 END
        AS recency,
    extract(epoch FROM greatest(:now, last_order_at) - first_order_at) / 604800 AS age
"""
_COUNT = text("SELECT count(*), count(order_gap_days) FROM activity WHERE first_order_at IS NOT NULL")
_ALIKE = text(f"""
    SELECT repeats, recency, age, count(*) FROM (
        SELECT {_HISTORY} FROM activity
        WHERE first_order_at IS NOT NULL AND first_order_at < :now AND abs(hashint8(customer_id) % :one_in) = 0
    ) bought GROUP BY 1, 2, 3
""")  # noqa: S608 -- put together from our own words
_NEXT = text(f"""
    SELECT customer_id, {_HISTORY}, last_order_at FROM activity
    WHERE customer_id > :after AND order_gap_days IS NOT NULL ORDER BY customer_id LIMIT :limit
""")  # noqa: S608
_SET = """
    UPDATE activity a SET chance_active = f.chance, orders_expected = f.expected
    FROM unnest(CAST(:ids AS bigint[]), CAST(:lasts AS timestamptz[]), CAST(:chances AS numeric[]),
                CAST(:expected AS numeric[])) AS f(customer_id, last_order_at, chance, expected)
    WHERE a.customer_id = f.customer_id AND a.last_order_at = f.last_order_at
        AND (a.chance_active, a.orders_expected) IS DISTINCT FROM (f.chance, f.expected)
    RETURNING a.customer_id
"""
_FORGET = """
    UPDATE activity SET chance_active = NULL, orders_expected = NULL
    WHERE chance_active IS NOT NULL OR orders_expected IS NOT NULL RETURNING customer_id
"""

"""After every evaluation the standing membership is what the rule says at that moment, and the feed tells every move.

Generated rules over generated rows; the clock moves by anything from a microsecond to years, now and then back, and
between evaluations people get what others have, in one of the places that a rule asks about.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers import models as records
from customers.changes import ACTIVITY, AUDIENCES, CONSENTS, CUSTOMERS, SUPPRESSIONS, note_changed
from customers.ratings import RATINGS
from runtime.database import Database
from segments import engine
from segments import models as ours
from segments.bounds import day_start
from segments.context import EvaluationContext
from segments.models import segment_changes, segment_members
from segments.standing import evaluate
from tests.segments.rule_answers import SOAK
from tests.segments.rule_maker import SEGMENTS, THEMES, Maker, Rule, add_segments
from tests.segments.rule_values import moments
from tests.segments.rule_worlds import keep, people, with_items_of_their_orders
from tracking import models as tracking

WORLDS = int(os.environ.get("HEARTH_STANDING_WORLDS", "300" if SOAK else "18"))
RULES = 6
STEPS = 4
PEOPLE = 14

PLACES: Mapping[str, tuple[Table, ...]] = {
    CUSTOMERS: (records.customers, records.contact_addresses),
    ACTIVITY: (records.activity,),
    CONSENTS: (records.standing_consents,),
    SUPPRESSIONS: (records.suppressions,),
    AUDIENCES: (ours.audience_members,),
    "orders": (records.orders, records.order_items),
    "appliances": (records.appliances,),
    "service_visits": (records.service_visits,),
    RATINGS: (records.ratings,),
    "messages": (tracking.messages,),
    "events": (tracking.events,),
}
MOVES = [
    *(timedelta(microseconds=1), timedelta(seconds=1), timedelta(hours=6), timedelta(hours=36), timedelta(days=1)),
    *(timedelta(days=2), timedelta(days=30), timedelta(days=59), timedelta(days=365), timedelta(days=2922)),
    *(timedelta(0), -timedelta(hours=1), -timedelta(days=31)),
]


@dataclass
class Watched:
    """A segment under test, and who is in it by the feed alone."""

    segment_id: int
    rule: Rule
    told: set[int]


@settings(
    max_examples=WORLDS,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(seed=st.integers(0, 2**32))
async def test_it_follows_the_clock_and_the_records(db: Database, seed: int) -> None:
    rng = Random(seed)
    world = moments(rng)
    found, pools = people(rng, world, PEOPLE)
    rows = [with_items_of_their_orders(one) for one in found]
    maker = Maker(rng, pools, rng.choice(THEMES), SEGMENTS)
    add_segments(world, maker)
    async with db.begin() as conn:
        await _clear(conn)
        await keep(conn, rows, world)
        rules = [maker.rule() for _ in range(RULES)]
        watched = [Watched(await _segment(conn, number, rule), rule, set()) for number, rule in enumerate(rules)]
    now = world.now
    ids = [row["id"] for row in rows]
    for step in range(STEPS):
        async with db.begin() as conn:
            if step and rng.random() < 0.7:
                await _give(conn, rng, *rng.sample(ids, 2))
        for each in watched:
            await _check(db, each, EvaluationContext(now, world.zone.key), step)
        now = _later(rng, now, world.zone)


async def _check(db: Database, watched: Watched, context: EvaluationContext, step: int) -> None:
    async with db.begin() as conn:
        done = await evaluate(conn, watched.segment_id, context)
    assert done is not None
    assert step == 0 or done.looked_at is not None, "everyone was looked at"
    async with db.connect() as conn:
        rows = await conn.execute(await engine.freeze_select(conn, watched.rule, context))
        expected = {row.id for row in rows}
        row = segment_members.c
        found = set(await conn.scalars(select(row.customer_id).where(row.segment_id == watched.segment_id)))
        entries = segment_changes.c
        news = await conn.execute(
            select(entries.customer_id, entries.entered).where(
                entries.segment_id == watched.segment_id, entries.evaluation == done.number
            )
        )
        entered = {customer: came for customer, came in news}  # noqa: C416 -- rows, not pairs
    assert found == expected, f"at {context.now} in {context.timezone}, step {step}: {watched.rule}"
    before, watched.told = watched.told, expected if step == 0 else _told(watched.told, entered)
    assert watched.told == expected, f"the feed says {entered} of {before}: {watched.rule}"
    assert done.size == len(expected)


def _told(before: set[int], entered: Mapping[int, bool]) -> set[int]:
    assert all((customer in before) is not came for customer, came in entered.items()), "entered twice or left twice"
    return {customer for customer in before | entered.keys() if entered.get(customer, True)}


def _later(rng: Random, now: datetime, zone: Any) -> datetime:
    if rng.random() < 0.3:  # the next midnight, or next to it
        tomorrow = now.astimezone(zone).date() + timedelta(days=1)
        return day_start(tomorrow, zone) + rng.choice([-1, 0, 1]) * timedelta(microseconds=1)
    return now + rng.choice(MOVES)


async def _segment(conn: AsyncConnection, number: int, rule: Rule) -> int:
    made = insert(ours.segments).values(id=1000 + number, name=f"watched {number}", rule=rule).returning(ours.segments)
    return int((await conn.execute(made)).one().id)


async def _give(conn: AsyncConnection, rng: Random, taker: int, giver: int) -> None:
    """Somebody gets what another has, in one place; it is noted as of that place."""
    place = rng.choice([*PLACES])
    for table in PLACES[place]:
        person = table.c.id if table is records.customers else table.c.customer_id
        if table is records.customers:
            names = [c.name for c in table.c if c.name not in ("id", "external_id", "merged_into")]
            given_row = (await conn.execute(select(*(table.c[name] for name in names)).where(person == giver))).one()
            await conn.execute(table.update().where(person == taker).values(dict(given_row._mapping)))
            continue
        others = [c for c in table.c if c.name != "customer_id"]
        await conn.execute(delete(table).where(person == taker))
        copied = select(literal(taker), *others).where(person == giver)
        await conn.execute(insert(table).from_select(["customer_id", *(c.name for c in others)], copied))
    sources = [place] if place != "orders" else ["orders", "order_items"]  # items repeat the time of their order
    await note_changed(conn, sources, [taker])


async def _clear(conn: AsyncConnection) -> None:
    tables = ", ".join(
        table.name
        for table in (
            *(records.customers, records.contact_addresses, records.activity, records.standing_consents),
            *(records.suppressions, records.suppressed_addresses, records.attribute_definitions),
            *(records.orders, records.order_items, records.appliances, records.service_visits),
            *(records.ratings, records.changed_customers),
            *(tracking.messages, tracking.events, tracking.campaign_names),
            *(ours.audience_members, ours.segment_members, ours.segment_changes, ours.segment_sizes),
            *(ours.segment_states,),
        )
    )
    await conn.execute(text(f"TRUNCATE {tables}"))
    await conn.execute(delete(ours.segments))
    await conn.execute(delete(ours.audiences))

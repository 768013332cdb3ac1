"""Records that came in by their own doors, and were changed since, answer like the rows that can be read back.

So what the doors keep beside the plain columns for comparing (folded texts, activity, what items know of their order)
is what rules need.
"""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.activity import fold_orders
from customers.attributes import attribute_kinds
from customers.models import activity, customers
from customers.upsert import upsert
from runtime.registry import sources
from runtime.settings import Settings
from segments import engine
from tests.customers.test_ranks_agree import FOLDED, folded
from tests.segments.rule_answers import ALWAYS, SOAK, Case, among, counted
from tests.segments.rule_difference import difference
from tests.segments.rule_fields import ATTRIBUTES, COLUMNS, RECORD_COLUMNS, TEXT_FIELDS
from tests.segments.rule_maker import Maker
from tests.segments.rule_reference import World
from tests.segments.rule_values import Pools, moments
from tests.segments.rule_worlds import Person, stored_attributes
from tracking.custom import record_events

Record = dict[str, Any]

RULES_PER_WORLD = 25
TEXTS = [*(name for name in TEXT_FIELDS if name not in ("email", "phone", "gender", "timezone")), "community", "dealer"]


def customer(rng: Random, pools: Pools, number: int) -> Record:
    """A customer as somebody tells it; what is left out stays as it was."""
    told = {name: rng.choice(pools.values["text" if name in TEXT_FIELDS else "code"]) for name in TEXTS}
    told |= {"salesperson": rng.choice(["S1", "S2", None]), "household_size": rng.choice([1, 2, 3])}
    told |= {"birthday": rng.choice(pools.values["date"]).isoformat(), "tags": rng.choice(pools.values["list"])}
    told |= {"attributes": {key: value for key, value in stored_attributes(rng, pools).items() if _fits(key, value)}}
    left = {name: value for name, value in told.items() if rng.random() < 0.7}
    return {"external_id": f"c{number}", **left}


def _fits(key: str, value: Any) -> bool:
    kinds = {"number": (int, float), "yes_no": (bool,), "list": (list,), "text": (str,)}
    kind = ATTRIBUTES[key]
    return kind in kinds and type(value) in kinds[kind]


def owned(rng: Random, pools: Pools, source: str, number: str) -> Record:
    """A record of a customer, as somebody tells it."""
    fields = {name: kind for name, kind in RECORD_COLUMNS[source].items() if name not in _MADE}
    told = {name: _json(pools.value(rng, name, kind)) for name, kind in fields.items()}
    told |= {"number": number, "customer": {"external_id": f"c{rng.randrange(10)}"}}
    if source == "orders":
        told["items"] = [_item(rng, pools) for _ in range(rng.randrange(4))]
        told["refunded"] = abs(rng.choice(pools.values["cents"]))
    for name in ("satisfaction", "power_watts"):
        if told.get(name) is not None:
            told[name] = abs(told[name])
    return told


_MADE = {"margin", "expires_on", "repairs_count", "number", "serial"}
"""What is made of the rest, or stands for one record alone."""


def _item(rng: Random, pools: Pools) -> Record:
    fields = {"sku": "code", "name": "text", "brand": "text", "category": "text", "price": "cents", "quantity": "cents"}
    return {name: _json(rng.choice(pools.values[kind])) for name, kind in fields.items()}


def _json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


async def tell(conn: AsyncConnection, settings: Settings, rng: Random, pools: Pools, now: datetime) -> None:
    """Everything twice, so that the second time changes the first."""
    kinds = ("orders", "appliances", "service_visits")
    for _ in range(2):
        await upsert(
            conn, "customers", [customer(rng, pools, number) for number in range(10)], settings=settings, now=now
        )
        for kind in kinds:
            numbers = rng.sample(range(20), 12)
            records = [owned(rng, pools, kind, f"{kind}-{number}") for number in numbers]
            await upsert(conn, kind, records, settings=settings, now=now)
        events = [
            {"key": f"e{number}", "kind": rng.choice(["visit", "Besuch", "ＶＩＳＩＴ"]),
             "value": rng.choice([None, 1, 2.5]),
             "customer": {"external_id": f"c{rng.randrange(10)}"}, "attributes": {"colour": rng.choice(["Rot", "ROT"])},
             "at": rng.choice(pools.values["instant"][:9]).isoformat()}
            for number in rng.sample(range(20), 8)
        ]  # fmt: skip
        await record_events(conn, events, settings=settings, now=now)


async def read_back(conn: AsyncConnection) -> list[Person]:
    """All customers and what they have, in the reference's form, from the plain columns."""
    people: dict[int, Person] = {}
    names = {name.replace("rfm.", "rfm_"): name for name in COLUMNS}
    columns = [column for table in (customers, activity) for name in names if (column := table.c.get(name)) is not None]
    columns.append(activity.c.engaged_until.label("engagement_score"))  # as it is stored: see rule_worlds.py
    query = select(customers.c.id, customers.c.merged_into, customers.c.attributes, *columns).outerjoin(
        activity, activity.c.customer_id == customers.c.id
    )
    for row in await conn.execute(query.order_by(customers.c.id)):
        one = {names.get(name, name): value for name, value in row._mapping.items()}
        people[row.id] = {**one, "addresses": [], "suppressions": [], "audiences": [], "records": {}}
    for source, fields in RECORD_COLUMNS.items():
        for one in people.values():
            one["records"][source] = []
        known = sources()[source]
        asked = [known.fields[name].column.label(name) for name in fields]
        attributes = [] if known.attributes is None else [known.attributes.label("attributes")]
        for row in await conn.execute(select(known.person.label("person"), *asked, *attributes)):
            people[row.person]["records"][source].append(row._asdict())
    return list(people.values())


@examples(
    max_examples=200 if SOAK else 8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(pick=st.randoms(use_true_random=False))
async def test_what_came_by_the_door_agrees(conn: AsyncConnection, settings: Settings, pick: Random) -> None:
    rng = Random(pick.getrandbits(32))
    world = moments(rng)
    pools = Pools(world, rng, [5_000])
    savepoint = await conn.begin_nested()
    try:
        await tell(conn, settings, rng, pools, world.now)
        world.attributes = {key: kind.value for key, kind in (await attribute_kinds(conn)).items()}
        people = await read_back(conn)
        _assert_folds(people)
        assert await fold_orders(conn) == 0  # what the doors kept is what a recount finds
        await _assert_agreement(conn, pick, rng, pools, people, world)
    finally:
        await savepoint.rollback()


def _assert_folds(people: list[Person]) -> None:
    for one in people:
        assert {name: one[name] for name in FOLDED} == folded(one["records"]["orders"])


async def _assert_agreement(
    conn: AsyncConnection, pick: Random, rng: Random, pools: Pools, people: list[Person], world: World
) -> None:
    missing = [f"attributes.{key}" for key in ATTRIBUTES if key not in world.attributes]
    for theme in ("fields", "records", "aggregates"):
        maker = Maker(pick, pools, theme)
        for rule in (maker.rule() for _ in range(RULES_PER_WORLD // 3)):
            if any(name in str(rule) for name in (*missing, "in_audience", "reachable")):
                continue
            found = await difference(conn, Case(rule, people, world, rng), [*ALWAYS, counted, among])
            assert found is None, (found, rule)


async def test_what_a_channel_told_of_an_event_can_be_asked(conn: AsyncConnection, settings: Settings) -> None:
    """Raw facts are no attributes of the workspace: text as it came, compared exactly."""
    told = [{"key": "1", "kind": "visit", "customer": {"external_id": "c1"}}]
    now = datetime.fromisoformat("2026-11-22T08:00:00Z")
    await record_events(conn, told, settings=settings, now=now)
    raw = {"user_agent": "Mozilla/5.0 (X11)", "link": 3}
    await conn.execute(_events().update().values(attributes=raw))
    context = engine.EvaluationContext(now, "Asia/Shanghai")
    for test, expected in (
        ({"field": "attributes.user_agent", "op": "contains", "value": "X11"}, 1),
        ({"field": "attributes.user_agent", "op": "contains", "value": "x11"}, 0),
        ({"field": "attributes.link", "op": "eq", "value": "3"}, 1),
        ({"field": "attributes.reply", "op": "empty"}, 1),
    ):
        assert await engine.count(conn, {"has": "events", "where": test}, context) == expected, test


def _events() -> Any:
    return sources()["events"].table

"""Whatever writes something that a rule can ask about notes for whom: a trigger watches every such table meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import store
from campaigns.freeze import prepare_run
from campaigns.launch import launch
from campaigns.models import runs
from customers import models as records
from customers.activity import fold_missing_rhythms, fold_orders
from customers.changes import ACTIVITY, AUDIENCES, CUSTOMERS, EVERYTHING, SUPPRESSIONS
from customers.consents import record_consent
from customers.erasing import erase
from customers.imports.uploads import append_chunk
from customers.merging import merge
from customers.ranks import refresh_ranks
from customers.ratings import Answer, Asked, How, comment_rating, disown, fold_ratings, record_rating
from customers.reference import Category, delete_category, save_category
from customers.results import Consent
from customers.suppressions import (
    Lift,
    SuppressedAddress,
    Suppression,
    lift,
    lift_address,
    suppress,
    suppress_addresses,
)
from customers.upsert import upsert
from runtime.house import House
from runtime.registry import sources
from segments.audiences import create_audience, delete_audience, enqueue_audience
from segments.matching import match_audience
from segments.models import audience_members
from tests.campaigns.scene import body
from tracking.custom import record_events
from tracking.facts import Fact, FactKind
from tracking.ingest import store as store_facts
from tracking.ledger import MessageKey, Outcome, cancel_queued, give_up, mark_sending, record_outcomes
from tracking.models import messages
from tracking.recount import recount
from tracking.states import State

NOW = datetime.fromisoformat("2026-11-22T16:00:00+08:00")
WATCHED: Mapping[str, tuple[Table, ...]] = {
    **{name: (source.table,) for name, source in sources().items()},
    CUSTOMERS: (records.customers, records.contact_addresses),
    ACTIVITY: (records.activity,),
    SUPPRESSIONS: (records.suppressions,),
    AUDIENCES: (audience_members,),
}
PEOPLE = [
    {"external_id": "a", "email": "a@example.com", "phone": "13800138000", "city": "西安"},
    {"external_id": "b", "email": "b@example.com"},
    {"external_id": "c", "email": "c@example.com"},
]
FRIDGE = {"number": "f", "customer": {"external_id": "a"}, "category": "refrigerator", "installed_on": "2019-02-03"}
ORDER = {
    "number": "o",
    "customer": {"external_id": "a"},
    "ordered_at": "2026-01-02T10:00:00+08:00",
    "status": "completed",
    "items": [{"sku": "s", "name": "fridge", "price": "100"}],
}

Verb = Callable[[House, dict[str, int]], Awaitable[object]]
_verbs: dict[str, Verb] = {}


def verb(function: Verb) -> Verb:
    _verbs[function.__name__] = function
    return function


@asynccontextmanager
async def begun(house: House) -> AsyncIterator[AsyncConnection]:
    """A transaction that must have noted for whom it wrote."""
    async with house.database.begin() as conn:
        yield conn
        await check(conn)


_seen: set[str] = set()  # of the test that runs: where something was written


async def taken(house: House, kind: str, *given: Mapping[str, Any]) -> None:
    async with begun(house) as conn:
        done = await upsert(conn, kind, given, settings=house.settings, now=NOW)
    assert not done.rejected, done.rejected


@verb
async def people_are_taken_in(house: House, ids: dict[str, int]) -> None:
    await taken(house, "customers", {"external_id": "new", "email": "n@example.com", "consents": [consent()]})
    await taken(house, "customers", {"external_id": "a", "city": "咸阳"}, {"external_id": "b", "phone": "13900139000"})
    await taken(house, "customers", {"external_id": "c", "email": None, "consents": [consent()]})


@verb
async def records_are_taken_in(house: House, ids: dict[str, int]) -> None:
    await taken(house, "orders", ORDER, {**ORDER, "number": "p", "customer": {"email": "stranger@example.com"}})
    await taken(house, "orders", {**ORDER, "status": "cancelled", "items": []})
    await taken(house, "appliances", {**FRIDGE, "brand": "Gree"}, {**FRIDGE, "number": "g"})
    visit = {"number": "v", "customer": {"external_id": "a"}, "kind": "repair", "status": "completed", "appliance": "f"}
    await taken(house, "service_visits", {**visit, "completed_at": "2026-03-01T10:00:00+08:00"})
    await taken(house, "service_visits", {**visit, "status": "cancelled"})


@verb
async def consent_is_given_and_withdrawn(house: House, ids: dict[str, int]) -> None:
    async with begun(house) as conn:
        for granted in (True, False):
            entry = Consent("email", "marketing", granted, "page", NOW)
            await record_consent(conn, ids["a"], entry, now=NOW)


@verb
async def people_are_suppressed_and_released(house: House, ids: dict[str, int]) -> None:
    lifting = Lift("me", "a mistake", NOW + timedelta(minutes=1))
    async with begun(house) as conn:
        await suppress(conn, [Suppression(ids["a"], "email", "manual", NOW)])
        await suppress_addresses(conn, [SuppressedAddress("email", "b@example.com", "bounced", NOW)])
    async with begun(house) as conn:
        assert await lift(conn, ids["a"], "email", lifting)
        assert await lift_address(conn, "email", "b@example.com", lifting)


@verb
async def people_are_merged_and_erased(house: House, ids: dict[str, int]) -> None:
    await taken(house, "appliances", FRIDGE)
    async with begun(house) as conn:
        await merge(conn, ids["b"], ids["a"], now=NOW)
    async with begun(house) as conn:
        await erase(conn, ids["b"])


@verb
async def folds_are_rebuilt(house: House, ids: dict[str, int]) -> None:
    second = {**ORDER, "number": "p", "ordered_at": "2026-05-02T10:00:00+08:00"}
    await taken(house, "orders", ORDER, second, {**ORDER, "number": "q", "customer": {"external_id": "b"}})
    async with begun(house) as conn:
        assert await refresh_ranks(conn)
    for fold in (fold_orders, fold_missing_rhythms, recount):
        async with begun(house) as conn:
            await meddle(conn)
            await fold(conn)


@verb
async def categories_change(house: House, ids: dict[str, int]) -> None:
    await taken(house, "appliances", FRIDGE)
    async with begun(house) as conn:
        await save_category(conn, Category("refrigerator", "Refrigerator", "冰箱", Decimal(5)))
    async with begun(house) as conn:
        await delete_category(conn, "refrigerator")


@verb
async def messages_go_out_and_come_back(house: House, ids: dict[str, int]) -> None:
    await taken(house, "customers", *({"external_id": name, "consents": [consent()]} for name in "abc"))
    async with begun(house) as conn:
        campaign_id = await store.create_campaign(conn, body(), settings=house.settings, by="me")
        await launch(conn, campaign_id, settings=house.settings, now=NOW)
    async with house.database.connect() as conn:
        run_id = int(await conn.scalar(select(runs.c.id).where(runs.c.campaign_id == campaign_id)) or 0)
    async with begun(house):
        await prepare_run(house, run_id=run_id)
    a, b, _ = (MessageKey(ids[name], run_id) for name in "abc")
    async with begun(house) as conn:
        assert await mark_sending(conn, [a, b])
        assert await record_outcomes(conn, [Outcome(a, State.SENT, NOW, provider_id="x")])
    async with begun(house) as conn:
        assert await give_up(conn, run_id, 0)
        assert await cancel_queued(conn, run_id)
    facts = [
        Fact(a, FactKind.OPENED, NOW + timedelta(hours=1), machine=None, agent="a browser"),
        Fact(a, FactKind.OPENED, NOW + timedelta(hours=2), machine="proxy", agent="a proxy"),
        Fact(a, FactKind.UNSUBSCRIBED, NOW + timedelta(hours=3), source="page"),
        Fact(a, FactKind.RESUBSCRIBED, NOW + timedelta(hours=4), source="page"),
    ]
    for fact in facts:
        async with begun(house) as conn:
            await store_facts(conn, [fact], NOW + timedelta(hours=5))
    async with begun(house) as conn:
        await conn.execute(update(messages).values(opens=7))
        await conn.execute(text("TRUNCATE traced"))
        assert await recount(conn)


@verb
async def others_tell_events_of_a_campaign(house: House, ids: dict[str, int]) -> None:
    async with begun(house) as conn:
        campaign_id = await store.create_campaign(conn, body(), settings=house.settings, by="me")
        event = {"key": "1", "kind": "visit", "customer": {"external_id": "a"}, "campaign": "Spring"}
        await record_events(conn, [event], settings=house.settings, now=NOW)
    async with begun(house) as conn:
        moved = {**event, "at": "2026-09-01T10:00:00+08:00"}
        await record_events(conn, [moved], settings=house.settings, now=NOW)
    async with begun(house) as conn:
        await store.update_campaign(conn, campaign_id, body(name="Autumn"), settings=house.settings)
        await conn.execute(text("INSERT INTO traced VALUES ('events', :id)"), {"id": ids["a"]})  # named otherwise
    async with begun(house) as conn:
        await store.delete_campaign(conn, campaign_id)
        await conn.execute(text("INSERT INTO traced VALUES ('events', :id)"), {"id": ids["a"]})


@verb
async def surveys_are_answered(house: House, ids: dict[str, int]) -> None:
    asked = Asked(ids["a"], 1, 0, "csat")
    for score in (2, 4):
        async with begun(house) as conn:
            assert await record_rating(conn, Answer(ids["a"], asked, score, NOW + timedelta(hours=score), How.SEEN))
    async with begun(house) as conn:
        assert await comment_rating(conn, ids["a"], asked, "better", NOW)
    async with begun(house) as conn:
        await disown(conn, ids["a"], asked, NOW, "together")
    async with begun(house) as conn:
        await conn.execute(update(records.ratings).values(counts=True))
        await conn.execute(text("TRUNCATE traced"))
        assert await fold_ratings(conn)


@verb
async def lists_are_matched_and_deleted(house: House, ids: dict[str, int]) -> None:
    async with begun(house) as conn:
        made = await create_audience(conn, name="list", filename="list.csv")
        assert made.import_id is not None
        await append_chunk(conn, made.import_id, 0, b"external_id\na\nb\n")
        await enqueue_audience(conn, made.id)
    async with begun(house):
        await match_audience(house, audience_id=made.id)
    async with begun(house) as conn:
        await delete_audience(conn, made.id)


def consent() -> dict[str, Any]:
    return {"channel": "email", "purpose": "marketing", "granted": True, "source": "page", "at": NOW.isoformat()}


async def meddle(conn: AsyncConnection) -> None:
    """Folds that are wrong, written by nobody."""
    wrong = {"orders_count": 9, "next_order_expected_at": None, "engaged_until": NOW}
    bought = records.activity.c.last_order_at.is_not(None)
    await conn.execute(update(records.activity).where(bought).values(**wrong))
    await conn.execute(text("TRUNCATE traced"))


@pytest.mark.parametrize("name", _verbs)
async def test_for_whom_is_noted(house: House, name: str) -> None:
    ids = await people_watched(house)
    await _verbs[name](house, ids)
    assert _seen, "nothing was written"


async def test_every_table_that_rules_ask_about_is_written(house: House) -> None:
    """By one of the verbs above: no watched table goes untested."""
    ids = await people_watched(house)
    for name in ("people_are_suppressed_and_released", "records_are_taken_in", "messages_go_out_and_come_back"):
        await _verbs[name](house, ids)
    await _verbs["consent_is_given_and_withdrawn"](house, ids)
    await _verbs["surveys_are_answered"](house, ids)
    await _verbs["lists_are_matched_and_deleted"](house, ids)
    assert set(WATCHED) == _seen


async def people_watched(house: House) -> dict[str, int]:
    async with house.database.begin() as conn:
        await upsert(conn, "customers", PEOPLE, settings=house.settings, now=NOW)
        ids = {row.external_id: row.id for row in await conn.execute(select(records.customers))}
        await watch(conn)
    _seen.clear()
    return ids


async def check(conn: AsyncConnection) -> None:
    """What was written since the last check is noted."""
    traced = {(row.source, row.customer_id) for row in await conn.execute(text("SELECT * FROM traced"))}
    log = (await conn.execute(select(records.changed_customers.c.sources, records.changed_customers.c.ids))).all()

    def noted(source: str, customer_id: int) -> bool:
        return any({source, EVERYTHING} & set(of) and (ids is None or customer_id in ids) for of, ids in log)

    assert [pair for pair in sorted(traced) if not noted(*pair)] == []
    _seen.update(source for source, _ in traced)
    await conn.execute(text("TRUNCATE traced, changed_customers"))


async def watch(conn: AsyncConnection) -> None:
    """Let triggers trace every row written from now on as (source, customer); the log begins anew."""
    await conn.execute(text("CREATE TABLE traced (source text, customer_id bigint)"))
    await conn.execute(text(_TRACE))
    for source, tables in WATCHED.items():
        for table in tables:
            person = "id" if table is records.customers else "customer_id"
            call = f"trace('{source}', '{person}')"
            trigger = f"CREATE TRIGGER traced AFTER INSERT OR UPDATE OR DELETE ON {table.name} FOR EACH ROW"
            await conn.execute(text(f"{trigger} EXECUTE FUNCTION {call}"))
    await conn.execute(text("TRUNCATE changed_customers"))


_TRACE = """
    CREATE FUNCTION trace() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO traced VALUES (TG_ARGV[0], CAST(to_jsonb(OLD) ->> TG_ARGV[1] AS bigint));
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO traced VALUES (TG_ARGV[0], CAST(to_jsonb(NEW) ->> TG_ARGV[1] AS bigint));
        END IF;
        RETURN NULL;
    END $$
"""

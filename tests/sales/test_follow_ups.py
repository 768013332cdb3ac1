"""Signals become follow-ups: whose, why, how many, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import note_changed
from customers.merging import merge
from customers.models import activity, appliances, customers, ratings, salespeople, service_visits
from customers.timeline import timeline
from runtime.errors import Conflict, Invalid, NotFound
from sales.models import follow_up_capacity, follow_up_states, follow_ups
from sales.opening import CAPACITY, escalate, open_all, open_news
from sales.outcomes import Outcome, record_outcome, undo
from sales.rules import READY_MADE, FollowUpRule, Signal, drop_rule, rule_of, rules_of, save_rule
from segments.context import EvaluationContext
from tests.tracking.people_with_mail import make_messages, make_people
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey
from tracking.models import campaign_names, events

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
OFFER = "https://shop.example.com/air_conditioner/new"


def at(now: datetime = NOW) -> EvaluationContext:
    return EvaluationContext(now, "Asia/Shanghai")


class Shop:
    """A salesperson S with households that own old air conditioners and were written to."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn

    async def people(self, count: int = 1, salesperson: str = "S") -> list[int]:
        people = await make_people(self.conn, count, salesperson=salesperson)
        old = {"number": "A", "category": "air_conditioner", "installed_on": date(2015, 3, 1), "repairs_count": 2}
        await self.conn.execute(insert(appliances), [{"customer_id": person, **old} for person in people])
        await make_messages(self.conn, people)
        return people

    async def click(self, *people: int, kind: FactKind = FactKind.CLICKED, when: datetime = NOW, **more: Any) -> None:
        link = OFFER if kind is FactKind.CLICKED else None
        facts = [Fact(MessageKey(person, 1), kind, when, link=link, **more) for person in people]
        await store(self.conn, facts, when)

    async def opened(self) -> Sequence[Row[Any]]:
        return (await self.conn.execute(select(follow_ups).order_by(follow_ups.c.id))).all()


@pytest.fixture
async def shop(conn: AsyncConnection) -> Shop:
    await conn.execute(insert(salespeople), [{"code": "S", "name": "Sun"}, {"code": "T", "name": "Tang"}])
    await conn.execute(insert(campaign_names), {"campaign_id": 10, "name": "Autumn", "name_folded": "autumn"})
    await open_news(conn, at())
    return Shop(conn)


async def look(conn: AsyncConnection, context: EvaluationContext) -> int:
    """`open_news` of all that was noted: within one transaction its own changes may count as seen."""
    await conn.execute(update(follow_up_states).values(snapshot="3:3:"))
    return await open_news(conn, context)


async def test_a_click_by_the_owner_of_an_old_appliance_is_a_task_with_its_evidence(
    conn: AsyncConnection, shop: Shop
) -> None:
    [person] = await shop.people()
    await shop.click(person, kind=FactKind.OPENED, when=NOW - timedelta(minutes=20))
    await shop.click(person, when=NOW - timedelta(minutes=10))
    assert await look(conn, at()) == 1
    [found] = await shop.opened()
    assert (found.customer_id, found.rule, found.salesperson, found.state) == (person, "replacement", "S", "open")
    assert (found.given_at, found.due_at) == (NOW, NOW + timedelta(hours=24))
    clicked, opened, appliance = found.evidence
    assert (clicked["event"], clicked["link"], clicked["campaign"], clicked["count"]) == ("clicked", OFFER, "Autumn", 1)
    assert (opened["event"], opened["count"]) == ("opened", 1)
    assert (appliance["number"], appliance["installed_on"], appliance["repairs"]) == ("A", "2015-03-01", 2)


async def test_machines_give_no_signal_and_new_appliances_no_reason(conn: AsyncConnection, shop: Shop) -> None:
    scanned, modern = await shop.people(2)
    young = {"installed_on": date(2025, 1, 1), "repairs_count": 0}
    await conn.execute(update(appliances).where(appliances.c.customer_id == modern).values(**young))
    await shop.click(scanned, machine="scanner")
    await shop.click(modern)
    assert await look(conn, at()) == 0
    assert await open_all(conn, at()) == 0


async def test_one_reason_is_one_task_and_rests_after_it_was_closed(conn: AsyncConnection, shop: Shop) -> None:
    [person] = await shop.people()
    await shop.click(person)
    await look(conn, at())
    await shop.click(person, when=NOW + timedelta(minutes=1))
    assert await look(conn, at(NOW + timedelta(minutes=2))) == 0
    [found] = await shop.opened()
    done = NOW + timedelta(hours=1)
    await record_outcome(conn, found.id, Outcome("called", "Sun"), done)
    for days, expected in ((2, 0), (29, 0), (31, 1)):
        again = done + timedelta(days=days)
        await shop.click(person, when=again)
        assert await look(conn, at(again)) == expected, days


async def test_a_first_look_opens_nothing_and_the_sweep_finds_what_was_missed(
    conn: AsyncConnection, shop: Shop
) -> None:
    [person] = await shop.people()
    await shop.click(person)
    await conn.execute(follow_up_states.delete())
    assert await open_news(conn, at()) == 0
    assert await open_all(conn, at()) == 1


async def test_a_day_has_room_for_so_many_and_the_rest_waits(conn: AsyncConnection, shop: Shop) -> None:
    people = await shop.people(CAPACITY + 3)
    await conn.execute(insert(follow_up_capacity), {"salesperson": "T", "daily": 1})
    others = await shop.people(2, "T")
    await shop.click(*people, *others)
    assert await look(conn, at()) == CAPACITY + 5
    given = [row.salesperson for row in await shop.opened() if row.given_at]
    assert (given.count("S"), given.count("T")) == (CAPACITY, 1)
    await open_all(conn, at(NOW + timedelta(days=1)))
    assert sum(row.given_at is None for row in await shop.opened()) == 0


async def test_a_bad_rating_goes_out_at_once_whatever_the_room(conn: AsyncConnection, shop: Shop) -> None:
    await conn.execute(insert(follow_up_capacity), {"salesperson": "", "daily": 0})
    [person] = await shop.people()
    await rate(conn, person, 2)
    await shop.click(person)
    await look(conn, at())
    given = {row.rule: row.given_at for row in await shop.opened()}
    assert given == {"bad_rating": NOW, "replacement": None}


async def test_a_good_or_a_machines_rating_is_no_reason(conn: AsyncConnection, shop: Shop) -> None:
    one, two = await shop.people(2)
    await rate(conn, one, 4)
    await rate(conn, two, 1, counts=False, machine_reason="scanner")
    assert await look(conn, at()) == 0


async def test_visits_and_complaints_that_nobody_made_are_escalated_when_late(
    conn: AsyncConnection, shop: Shop
) -> None:
    waiting, calm, angry = await shop.people(3)
    await visit(conn, waiting, "repair", 50)
    await visit(conn, calm, "repair", 40)
    await visit(conn, angry, "complaint", 25)
    await open_all(conn, at())
    found = {row.customer_id: row for row in await shop.opened()}
    assert {person: row.rule for person, row in found.items()} == {waiting: "visit_overdue", angry: "complaint"}
    assert found[angry].evidence[0]["number"] == "complaint"
    assert await escalate(conn, NOW + timedelta(hours=5)) == 1
    assert await escalate(conn, NOW + timedelta(hours=5)) == 0
    assert [row.rule for row in await shop.opened() if row.escalated_at] == ["complaint"]


async def test_who_may_be_lost_is_opened_as_there_is_room(conn: AsyncConnection, shop: Shop) -> None:
    people = await shop.people(CAPACITY + 5)
    bought = {"orders_count": 3, "chance_active": Decimal("0.3"), "last_order_at": NOW - timedelta(days=400)}
    await conn.execute(update(activity).where(activity.c.customer_id.in_(people)).values(**bought))
    assert await open_all(conn, at()) == CAPACITY
    assert await open_all(conn, at(NOW + timedelta(hours=1))) == 0
    assert await open_all(conn, at(NOW + timedelta(days=1))) == 5


async def test_households_that_change_hands_take_their_tasks_along(conn: AsyncConnection, shop: Shop) -> None:
    [person] = await shop.people()
    await shop.click(person)
    await look(conn, at())
    await conn.execute(update(customers).where(customers.c.id == person).values(salesperson="T"))
    await open_all(conn, at())
    [found] = await shop.opened()
    assert found.salesperson == "T"
    with pytest.raises(NotFound):
        await record_outcome(conn, found.id, Outcome("called", "Sun"), NOW, salesperson="S")


async def test_a_merged_customers_click_counts_for_the_survivor_once(conn: AsyncConnection, shop: Shop) -> None:
    keep, lose = await shop.people(2)
    await shop.click(keep, lose)
    await look(conn, at())
    await merge(conn, keep, lose, now=NOW)
    await open_all(conn, at())
    assert [row.customer_id for row in await shop.opened()] == [keep]


async def test_an_outcome_stands_on_the_timeline_and_can_be_undone_for_a_while(
    conn: AsyncConnection, shop: Shop
) -> None:
    [person] = await shop.people()
    await shop.click(person)
    await look(conn, at())
    [found] = await shop.opened()
    done = await record_outcome(conn, found.id, Outcome("visited", "Sun", " wants a quote "), NOW, salesperson="S")
    assert (done.state, done.outcome, done.note, done.closed_by) == ("done", "visited", "wants a quote", "Sun")
    entries = [each for each in (await timeline(conn, person)).items if each.kind == "follow_up"]
    assert [(each.data["outcome"], each.data["note"]) for each in entries] == [("visited", "wants a quote")]
    assert (await undo(conn, found.id, NOW + timedelta(minutes=5))).state == "open"
    await record_outcome(conn, found.id, Outcome("ordered", "Sun"), NOW)
    with pytest.raises(Conflict):
        await undo(conn, found.id, NOW + timedelta(hours=1))
    with pytest.raises(Conflict):
        await record_outcome(conn, found.id, Outcome("called", "Sun"), NOW + timedelta(hours=1))
    with pytest.raises(Invalid) as refused:
        await record_outcome(conn, found.id, Outcome("sang", "Sun"), NOW)
    assert [problem.path for problem in refused.value.problems] == ["outcome"]


async def test_a_rule_of_ones_own_and_a_changed_ready_made_one(conn: AsyncConnection, shop: Shop) -> None:
    [person] = await shop.people()
    own = FollowUpRule(
        "twice",
        "Looked twice",
        Signal(event="page_visited", category="air_conditioner", count=2),
        rule={"field": "salesperson", "op": "eq", "value": "S"},
    )
    await save_rule(conn, own, at(), NOW)
    replacement = await rule_of(conn, "replacement")
    await save_rule(conn, FollowUpRule(**{**vars(replacement), "active": False}), at(), NOW)
    await shop.click(person)
    assert await open_all(conn, at()) == 0
    for number, category in enumerate(("fridge", "air_conditioner", "air_conditioner")):
        await looked_at(conn, person, NOW - timedelta(minutes=number), category)
        assert await look(conn, at()) == (number == 2)
    await drop_rule(conn, "twice")
    await drop_rule(conn, "replacement")
    assert await rules_of(conn) == list(READY_MADE)


async def test_what_is_wrong_with_a_rule_is_named(conn: AsyncConnection) -> None:
    wrong = FollowUpRule("Bad Code", "", Signal("guess", count=0), value=Decimal(-1), due_hours=0)
    with pytest.raises(Invalid) as refused:
        await save_rule(conn, wrong, at(), NOW)
    assert {problem.path for problem in refused.value.problems} == {
        "code", "name", "signal", "count", "value", "due_hours",
    }  # fmt: skip
    with pytest.raises(Invalid, match="unknown field"):
        await save_rule(conn, FollowUpRule("x", "X", Signal(), {"field": "shoe", "op": "eq", "value": 1}), at(), NOW)


async def rate(conn: AsyncConnection, person: int, score: int, **more: Any) -> None:
    row = {"customer_id": person, "at": NOW, "key": uuid4(), "survey": "csat", "score": score, "counts": True}
    asked = {"how": "button", "recipient": person, "run_id": 1, "step": 0}
    await conn.execute(insert(ratings), {**row, **asked, **more})
    await note_changed(conn, "ratings", [person])


async def visit(conn: AsyncConnection, person: int, kind: str, hours_ago: int) -> None:
    row = {"customer_id": person, "number": kind, "kind": kind, "kind_folded": kind}
    requested = {"status": "requested", "status_folded": "requested", "requested_at": NOW - timedelta(hours=hours_ago)}
    await conn.execute(insert(service_visits), {**row, **requested})


async def looked_at(conn: AsyncConnection, person: int, when: datetime, category: str) -> None:
    words = {"kind": "page_visited", "kind_folded": "page_visited"}
    about = {"attributes": {"category": category}, "attributes_folded": {"category": category}}
    await conn.execute(insert(events), {"customer_id": person, "at": when, "key": uuid4(), **words, **about})
    await note_changed(conn, "events", [person])

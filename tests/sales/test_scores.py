"""Scores of a small team, worked out by hand; and that every number opens the records behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns, runs, snapshots
from customers.models import appliances, customers, orders, ratings, salespeople, service_visits
from runtime.errors import Invalid, NotFound
from sales.evidence import Evidence, evidence
from sales.facts import PARTS
from sales.matching import FEWEST
from sales.models import follow_ups
from sales.months import close_month, keep, measure, month, over
from sales.period import period_of, read_period
from sales.scores import DEFAULTS, RATIO, Score, Weight, ranking, save_weights, score
from tests.tracking.people_with_mail import make_people
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.ledger import MessageKey
from tracking.models import messages

ZONE = ZoneInfo("Asia/Shanghai")
NOVEMBER = read_period("2026-11", ZONE)
SENT = datetime(2026, 11, 10, 2, 0, tzinfo=UTC)
LATER = SENT + timedelta(hours=5)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


class Team:
    """Writes a salesperson's world into the tables."""

    def __init__(self, conn: AsyncConnection) -> None:
        self.conn = conn
        self.orders = 0

    async def salesperson(self, code: str) -> int:
        statement = insert(salespeople).values(code=code, name=f"Ms {code}").returning(salespeople.c.id)
        return int((await self.conn.execute(statement)).scalar_one())

    async def people(self, code: str, count: int, **values: Any) -> list[int]:
        return await make_people(self.conn, count, salesperson=code, created_at=LONG_AGO, **values)

    async def appliance(self, *people: int, **values: Any) -> None:
        rows = [{"customer_id": person, "number": "A", "created_at": LONG_AGO, **values} for person in people]
        await self.conn.execute(insert(appliances), rows)

    async def run(self, sent_at: datetime = SENT) -> int:
        campaign = insert(campaigns).values(name="Autumn", channel="email").returning(campaigns.c.id)
        campaign_id = (await self.conn.execute(campaign)).scalar_one()
        content = {"compiled": {}, "audience": {}, "options": {}, "sender": "a@example.com"}
        snapshot = insert(snapshots).values(campaign_id=campaign_id, **content).returning(snapshots.c.id)
        row = {"campaign_id": campaign_id, "snapshot_id": (await self.conn.execute(snapshot)).scalar_one()}
        times = {"occurrence": sent_at, "started_at": sent_at, "finished_at": sent_at + timedelta(hours=1)}
        run = insert(runs).values(**row, **times, state="finished").returning(runs.c.id)
        return int((await self.conn.execute(run)).scalar_one())

    async def mail(self, run_id: int, people: list[int], sent_at: datetime = SENT) -> None:
        row = {"run_id": run_id, "campaign_id": run_id, "channel": "email", "state": "sent", "sent_at": sent_at}
        await self.conn.execute(insert(messages), [{"customer_id": person, "step": 0, **row} for person in people])

    async def do(
        self, kind: FactKind, run_id: int, *people: int, at: datetime = LATER, machine: str | None = None
    ) -> None:
        facts = [Fact(MessageKey(person, run_id), kind, at, machine=machine) for person in people]
        await store(self.conn, facts, at)

    async def order(self, person: int, at: datetime, margin: int | None = 100, **values: Any) -> str:
        self.orders += 1
        row = {
            "customer_id": person,
            "number": f"N{self.orders}",
            "ordered_at": at,
            "amount": 900,
            "status": "completed",
        }
        await self.conn.execute(insert(orders), {**row, "margin": margin, **values})
        return f"N{self.orders}"


@pytest.fixture
def team(conn: AsyncConnection) -> Team:
    return Team(conn)


def values(found: Score) -> dict[str, Decimal | None]:
    return {part.name: part.value for part in found.parts}


def counted(found: Score) -> dict[str, tuple[int, int]]:
    return {part.name: (part.counted, part.total) for part in found.parts}


async def test_a_score_worked_out_by_hand(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 10)
    await team.appliance(*people[:6])  # 6 of 10 homes: 2/3 of the target 0.9
    run_id = await team.run()
    await team.mail(run_id, people[:8])
    await team.do(FactKind.OPENED, run_id, people[0])
    await team.do(FactKind.CLICKED, run_id, people[1], people[2])  # 3 of 8 answered: above the target 0.3
    await team.do(FactKind.CLICKED, run_id, people[3], machine="scanner")
    await team.order(people[1], LATER + timedelta(days=29), margin=4_000)  # in December: converts, no margin yet
    await team.order(people[2], LATER - timedelta(days=1), margin=3_000)  # before the click
    await team.order(people[9], LATER, margin=2_000)
    await team.order(people[9], LATER, margin=None)
    found = await score(conn, wang, NOVEMBER)
    assert values(found) == {
        "coverage": Decimal("0.6"),
        "freshness": Decimal(1),
        "response": None,
        "conversion": Decimal("0.5"),
        "margin": Decimal(5_000),
        "satisfaction": None,
        "growth": Decimal(0),
    }
    assert counted(found) == {
        **dict.fromkeys(("response", "satisfaction"), (0, 0)),
        "coverage": (6, 10),
        "freshness": (6, 6),
        "conversion": (1, 2),
        "margin": (2, 3),
        "growth": (0, 10),
    }
    points = {part.name: part.points for part in found.parts if part.points}  # of 70, made to be 100
    assert points == {
        "coverage": Decimal("19.05"),
        "freshness": Decimal("14.29"),
        "conversion": Decimal("21.43"),
        "margin": Decimal("5.36"),
    }
    assert (found.score, found.rank, found.customers) == (Decimal("60.13"), 1, 10)


async def test_a_household_is_one_home_whoever_of_it_has_the_record(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    couple = await team.people("W", 2, household_id=5)
    await team.people("W", 1)
    await team.appliance(couple[1])
    assert counted(await score(conn, wang, NOVEMBER))["coverage"] == (1, 2)


async def test_what_lies_outside_of_the_month_is_left_out(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    [person] = await team.people("W", 1)
    october = datetime(2026, 10, 31, 15, 59, tzinfo=UTC)  # a minute before midnight in Xi'an
    old, new = await team.run(october), await team.run(october + timedelta(minutes=1))
    await team.mail(old, [person], october)
    await team.order(person, october)
    await team.do(FactKind.CLICKED, old, person, at=october)
    found = counted(await score(conn, wang, NOVEMBER))
    assert (found["conversion"], found["margin"], found["coverage"]) == ((0, 0), (0, 0), (0, 1))
    await team.mail(new, [person], october + timedelta(minutes=1))
    await team.do(FactKind.CLICKED, new, person, at=october + timedelta(minutes=2))
    await team.order(person, october + timedelta(minutes=1))
    found = counted(await score(conn, wang, NOVEMBER))
    assert (found["conversion"], found["margin"]) == ((0, 1), (1, 1))


@pytest.mark.parametrize(("days", "converted"), [(0.01, 1), (29.99, 1), (30.01, 0), (-0.01, 0)])
async def test_an_order_converts_within_thirty_days_of_a_click(
    conn: AsyncConnection, team: Team, days: float, converted: int
) -> None:
    wang = await team.salesperson("W")
    [person] = await team.people("W", 1)
    run_id = await team.run()
    await team.mail(run_id, [person])
    await team.do(FactKind.CLICKED, run_id, person)
    await team.order(person, LATER + timedelta(days=days))
    assert counted(await score(conn, wang, NOVEMBER))["conversion"] == (converted, 1)


async def test_a_cancelled_order_neither_converts_nor_earns(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    [person] = await team.people("W", 1)
    run_id = await team.run()
    await team.mail(run_id, [person])
    await team.do(FactKind.CLICKED, run_id, person)
    await team.order(person, LATER + timedelta(days=1), status="cancelled")
    await team.order(person, LATER + timedelta(days=1), status="refunded")
    found = counted(await score(conn, wang, NOVEMBER))
    assert (found["conversion"], found["margin"]) == ((0, 1), (0, 0))


async def test_what_nobody_can_be_measured_on_is_left_out_for_all(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 2)
    await team.appliance(*people)
    found = await score(conn, wang, NOVEMBER)
    assert {name for name, value in values(found).items() if value is None} == {
        "response",
        "conversion",
        "satisfaction",
    }
    weights = {part.name: part.weight for part in found.parts if part.weight}
    assert weights == {
        **dict.fromkeys(("freshness", "growth"), Decimal("18.18")),
        "coverage": Decimal("36.36"),
        "margin": Decimal("27.27"),
    }
    assert found.score == Decimal("54.54")


async def test_nobody_is_better_off_for_clicks_that_never_came(conn: AsyncConnection, team: Team) -> None:
    for code in ("quiet", "clicked"):
        await team.salesperson(code)
    quiet, clicked = await team.people("quiet", 1), await team.people("clicked", 1)
    run_id = await team.run()
    await team.mail(run_id, quiet + clicked)
    await team.do(FactKind.CLICKED, run_id, *clicked)
    first, second = await ranking(conn, NOVEMBER)
    assert (first.code, second.code) == ("clicked", "quiet")
    assert values(first)["conversion"] == 0
    assert values(second)["conversion"] is None
    assert [part.weight for part in first.parts] == [part.weight for part in second.parts]


async def test_an_empty_house_has_no_scores(conn: AsyncConnection, team: Team) -> None:
    assert await ranking(conn, NOVEMBER) == []
    wang = await team.salesperson("W")
    found = await score(conn, wang, NOVEMBER)
    assert (found.score, found.rank, found.customers) == (None, 1, 0)
    assert {part.value for part in found.parts} == {None}
    with pytest.raises(NotFound):
        await score(conn, wang + 1, NOVEMBER)


async def test_equal_scores_share_a_rank(conn: AsyncConnection, team: Team) -> None:
    for code in ("a", "b", "c"):
        await team.salesperson(code)
    for code in ("a", "b", "c"):
        people = await team.people(code, 2)
        await team.appliance(*people[: 1 if code == "c" else 2])
    assert [(found.code, found.rank) for found in await ranking(conn, NOVEMBER)] == [("a", 1), ("b", 1), ("c", 3)]


async def test_weights_and_targets_are_the_workspaces_own(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 2)
    await team.appliance(people[0])
    await team.order(people[0], LATER, margin=50)
    nothing = dict.fromkeys(PARTS, Weight(Decimal(0), Decimal(1)))
    own = {"coverage": Weight(Decimal(1), Decimal("0.5")), "margin": Weight(Decimal(3), Decimal("1.2"))}
    await save_weights(conn, {**nothing, **own})
    parts = {part.name: part for part in (await score(conn, wang, NOVEMBER)).parts}
    assert (parts["coverage"].weight, parts["coverage"].points) == (Decimal(25), Decimal(25))
    assert (parts["margin"].weight, parts["margin"].points) == (Decimal(75), Decimal("0.19"))  # 50 of 20,000


async def test_a_merged_customer_counts_once(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 2)
    await conn.execute(update(customers).where(customers.c.id == people[0]).values(merged_into=people[1]))
    assert (await score(conn, wang, NOVEMBER)).customers == 1


async def test_every_number_opens_the_records_behind_it(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    await team.salesperson("other")
    people = await team.people("W", 7)
    await team.people("other", 3)
    await team.appliance(*people[:4])
    run_id = await team.run()
    await team.mail(run_id, people)
    await team.do(FactKind.CLICKED, run_id, *people[:3])
    await team.do(FactKind.CLICKED, run_id, people[0], at=LATER + timedelta(minutes=3))
    number = await team.order(people[0], LATER + timedelta(days=2), margin=70)
    await team.order(people[1], LATER, margin=None)
    found = await score(conn, wang, NOVEMBER)
    for part in found.parts:
        items: list[Evidence] = []
        cursor = None
        while True:
            page = await evidence(conn, wang, NOVEMBER, part.name, cursor, limit=2)
            items += page.items
            cursor = page.next
            if cursor is None:
                break
        assert (sum(item.counts for item in items), len(items)) == (part.counted, part.total)
        assert {item.customer_id for item in items} <= set(people)
    [bought] = [item for item in (await evidence(conn, wang, NOVEMBER, "conversion")).items if item.counts]
    assert (bought.customer_id, bought.item, bought.amount) == (people[0], number, Decimal(900))
    earned = (await evidence(conn, wang, NOVEMBER, "margin")).items
    assert sum(item.amount or 0 for item in earned if item.counts) == values(found)["margin"] == Decimal(70)


async def test_evidence_refuses_what_it_does_not_know(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    for part, cursor in (("charm", None), ("margin", "x"), ("margin", "1"), ("margin", "-1.N"), ("margin", "1.\0")):
        with pytest.raises(Invalid):
            await evidence(conn, wang, NOVEMBER, part, cursor)
    with pytest.raises(NotFound):
        await evidence(conn, wang + 1, NOVEMBER, "margin")


@pytest.mark.parametrize("name", ["", "2026", "2026-13", "2026-1", "26-11", "2026-11-01", "0000-01", "９999-01"])
def test_a_period_is_a_month(name: str) -> None:
    with pytest.raises(Invalid, match="is not a month"):
        read_period(name, ZONE)


def test_a_month_is_the_workspaces() -> None:
    assert NOVEMBER.start == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert NOVEMBER.end == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert read_period("2026-12", ZONE).end == datetime(2026, 12, 31, 16, tzinfo=UTC)
    assert period_of(datetime(2026, 10, 31, 16, tzinfo=UTC), ZONE) == NOVEMBER


async def test_response_is_what_was_done_in_time(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 5)
    times: list[dict[str, Any]] = [
        {"state": "done", "closed_at": LATER, "outcome": "called"},
        {"state": "done", "closed_at": LATER + timedelta(days=3), "outcome": "called"},  # too late
        {"state": "open"},  # and due
        {"state": "open", "due_at": NOVEMBER.end},  # not yet due: it does not count
        {"state": "open", "given_at": None, "due_at": None},  # waits: nobody had it
    ]
    for person, values_ in zip(people, times, strict=True):
        await follow(conn, person, **values_)
    found = await score(conn, wang, NOVEMBER, NOVEMBER.end - timedelta(days=1))
    assert counted(found)["response"] == (1, 3)
    assert counted(found)["conversion"] == (0, 2)
    await team.order(people[0], LATER + timedelta(days=20))
    assert counted(await score(conn, wang, NOVEMBER))["conversion"] == (1, 2)


async def test_satisfaction_hears_ratings_visits_complaints_and_who_left_after_a_contact(
    conn: AsyncConnection, team: Team
) -> None:
    wang = await team.salesperson("W")
    people = await team.people("W", 6)
    for person, survey, stars in ((0, "csat", 5), (1, "csat", 3), (2, "nps", 7)):
        row = {"customer_id": people[person], "at": LATER, "key": uuid4(), "survey": survey, "score": stars}
        asked = {"counts": True, "how": "button", "recipient": people[person], "run_id": 1, "step": 0}
        await conn.execute(insert(ratings), {**row, **asked})
    for person, kind, satisfaction in ((3, "repair", 5), (4, "complaint", None)):
        row = {"customer_id": people[person], "number": f"V{person}", "kind": kind, "kind_folded": kind}
        done = {"requested_at": LATER, "completed_at": LATER, "satisfaction": satisfaction}
        await conn.execute(insert(service_visits), {**row, **done})
    run_id = await team.run()
    await team.mail(run_id, people[4:])
    await follow(conn, people[5], state="done", closed_at=LATER)
    await team.do(FactKind.UNSUBSCRIBED, run_id, *people[4:], at=LATER + timedelta(days=1))
    found = await score(conn, wang, NOVEMBER)
    assert counted(found)["satisfaction"] == (3, 6)  # the one nobody had contacted left by themselves
    page = await evidence(conn, wang, NOVEMBER, "satisfaction")
    assert sum(item.counts for item in page.items) == 3


async def test_growth_is_new_homes_against_known_ones(conn: AsyncConnection, team: Team) -> None:
    wang = await team.salesperson("W")
    await team.people("W", 50)
    await make_people(conn, 1, salesperson="W", created_at=LATER)
    found = {part.name: part for part in (await score(conn, wang, NOVEMBER)).parts}["growth"]
    assert (found.value, found.counted, found.total) == (Decimal("0.02"), 1, 51)
    assert found.points == found.weight


async def test_a_rich_district_earns_no_free_points(conn: AsyncConnection, team: Team) -> None:
    """Everybody in Rich buys for 1,000 and in Poor for 10, whoever looks after them: all do as well as their like."""
    homes = {"a": ("rich", 40), "b": ("poor", 40), "c": ("rich", 40), "d": ("poor", 40)}
    for code, (city, number) in homes.items():
        await team.salesperson(code)
        for person in await team.people(code, number, city=city, city_folded=city):
            await team.order(person, LATER, margin=1_000 if city == "rich" else 10)
    found = {one.code: {part.name: part for part in one.parts}["margin"] for one in await ranking(conn, NOVEMBER)}
    assert {code: (part.method, part.value) for code, part in found.items()} == dict.fromkeys(
        homes, (RATIO, Decimal(1))
    )
    assert (found["a"].actual, found["a"].expected) == (Decimal(40_000), Decimal(40_000))
    await team.order((await team.people("b", 1, city="poor", city_folded="poor"))[0], LATER, margin=420)
    found = {one.code: {part.name: part for part in one.parts}["margin"] for one in await ranking(conn, NOVEMBER)}
    assert found["b"].value == Decimal(2)  # 820 where 41 of the poor bring 410
    assert found["a"].value == 1


async def held_out(conn: AsyncConnection, team: Team, *, lift: int) -> dict[str, list[int]]:
    """Four salespeople of rich and poor districts with 60 customers each, of whom a campaign held 20 out by lot; these
    bring 500 or 5, the others `lift` times as much. Those written to, by salesperson."""
    run_id, written = await team.run(), {}
    for code, (city, worth) in {"a": ("rich", 500), "b": ("poor", 5), "c": ("rich", 500), "d": ("poor", 5)}.items():
        await team.salesperson(code)
        people = await team.people(code, 60, city=city, city_folded=city)
        written[code] = people[20:]
        await team.mail(run_id, people[20:])
        skipped = {"run_id": run_id, "campaign_id": run_id, "channel": "email", "state": "skipped", "reason": "holdout"}
        await conn.execute(insert(messages), [{"customer_id": person, "step": 0, **skipped} for person in people[:20]])
        for number, person in enumerate(people):
            await team.order(person, LATER, margin=worth * (1 if number < 20 else lift))
    return written


@pytest.mark.parametrize("lift", [1, 2])
async def test_lift_is_measured_over_those_whom_a_campaign_held_out(
    conn: AsyncConnection, team: Team, lift: int
) -> None:
    """A rich district earns no points by being rich; what the campaign truly brought shows, and so does more of it."""
    written = await held_out(conn, team, lift=lift)
    found = {one.code: {part.name: part for part in one.parts}["margin"] for one in await ranking(conn, NOVEMBER)}
    assert {code: part.value for code, part in found.items()} == dict.fromkeys("abcd", Decimal(lift))
    assert (found["a"].actual, found["a"].expected) == (Decimal(40 * 500 * lift), Decimal(40 * 500))
    assert found["b"].share == Decimal(1) / lift
    for person in written["b"]:
        await team.order(person, LATER, margin=5 * lift)
    after = {one.code: {part.name: part for part in one.parts}["margin"] for one in await ranking(conn, NOVEMBER)}
    assert after["b"].value is not None
    assert after["b"].value > Decimal("1.4") * lift  # twice as much as the others; they move the share a little
    assert after["a"].value == after["c"].value
    kept = (await measure(conn, NOVEMBER, LATER))["b"].counts["margin"]
    assert kept.expected is not None
    assert (kept.actual, kept.share) == (after["b"].actual, after["b"].share)


async def test_one_salespersons_page_counts_their_own_records_anew(conn: AsyncConnection, team: Team) -> None:
    """The others, and what is compared, as they stood; every number of their own as a count of everybody gives it."""
    for code in ("W", "L"):
        await team.salesperson(code)
        people = await team.people(code, 40)
        await team.appliance(*people[:11])
        for person in people[:7]:
            await team.order(person, LATER, margin=123)
    now = NOVEMBER.end - timedelta(days=3)
    await keep(conn, NOVEMBER, now)
    people = await team.people("W", 3, household_id=9)
    await team.appliance(*people[:1])
    run_id = await team.run()
    await team.mail(run_id, people)
    await team.do(FactKind.CLICKED, run_id, *people)
    await follow(conn, people[0], state="done", closed_at=LATER)
    await team.order(people[1], LATER + timedelta(days=1))
    every = {one.code: counted(one) for one in await ranking(conn, NOVEMBER, now)}
    found = {one.code: counted(one) for one in await ranking(conn, NOVEMBER, now, lately=True, anew="W")}
    assert found["W"] == every["W"]
    stood = {one.code: counted(one) for one in await ranking(conn, NOVEMBER, now, lately=True)}
    assert stood["W"] != every["W"]
    assert found["L"] == stood["L"]


async def test_too_few_others_are_no_comparison(conn: AsyncConnection, team: Team) -> None:
    for code, number in (("a", FEWEST), ("b", FEWEST - 1)):
        await team.salesperson(code)
        for person in await team.people(code, number):
            await team.order(person, LATER)
    methods = {part.method for one in await ranking(conn, NOVEMBER) for part in one.parts}
    assert methods == {"plain"}


async def test_a_closed_month_is_kept_and_counted_again_it_is_the_same(conn: AsyncConnection, team: Team) -> None:
    for code in ("W", "L"):
        await team.salesperson(code)
        people = await team.people(code, 40)
        await team.appliance(*people[:11])
        run_id = await team.run()
        await team.mail(run_id, people)
        await team.do(FactKind.CLICKED, run_id, *people[:9])
        for person in people[:7]:
            await team.order(person, LATER + timedelta(days=1), margin=123)
    early, late = NOVEMBER.end + timedelta(days=30), NOVEMBER.end + timedelta(days=32)
    live = await ranking(conn, NOVEMBER, late)
    assert not await close_month(conn, NOVEMBER, early)
    assert await close_month(conn, NOVEMBER, late)
    assert not await close_month(conn, NOVEMBER, late)
    assert await month(conn, NOVEMBER, late) == await measure(conn, NOVEMBER, late)
    assert await ranking(conn, NOVEMBER, late) == live
    await conn.execute(update(customers).values(salesperson="W"))
    assert await ranking(conn, NOVEMBER, late) == live
    assert over(late, ZONE)[-1] == NOVEMBER
    assert over(early, ZONE)[-1] == read_period("2026-10", ZONE)


async def test_some_minutes_ago_will_do_for_who_says_so(conn: AsyncConnection, team: Team) -> None:
    await team.salesperson("W")
    await team.people("W", 2)
    now = NOVEMBER.end - timedelta(days=3)
    await keep(conn, NOVEMBER, now)
    await team.people("W", 1)
    assert [one.customers for one in await ranking(conn, NOVEMBER, now, lately=True)] == [2]
    assert [one.customers for one in await ranking(conn, NOVEMBER, now)] == [3]
    await keep(conn, NOVEMBER, now)
    assert [one.customers for one in await ranking(conn, NOVEMBER, now, lately=True)] == [3]


async def test_weights_are_checked_and_can_be_tried(conn: AsyncConnection, team: Team) -> None:
    await team.salesperson("W")
    await team.appliance(*await team.people("W", 1))
    with pytest.raises(Invalid) as refused:
        await save_weights(conn, {**DEFAULTS, "margin": Weight(Decimal(101), Decimal(0)), "charm": DEFAULTS["margin"]})
    assert {each.path for each in refused.value.problems} == {"weight.margin", "target.margin", "charm"}
    with pytest.raises(Invalid):
        await save_weights(conn, dict.fromkeys(PARTS, Weight(Decimal(0), Decimal(1))))
    nothing = dict.fromkeys(PARTS, Weight(Decimal(0), Decimal(1)))
    [tried] = await ranking(conn, NOVEMBER, weights={**nothing, "coverage": DEFAULTS["coverage"]})
    assert tried.score == 100
    [stands] = await ranking(conn, NOVEMBER)
    assert stands.score is not None
    assert stands.score < 100


async def follow(conn: AsyncConnection, person: int, **given: Any) -> None:
    """A follow-up of W, given when the campaign was sent and due two days later."""
    row = {"customer_id": person, "rule": "replacement", "salesperson": "W", "state": "open", "evidence": []}
    worth = {"value": 100, "due_hours": 48, "signal_at": SENT, "opened_at": SENT}
    times = {"given_at": SENT, "due_at": SENT + timedelta(days=2)}
    await conn.execute(insert(follow_ups), {**row, **worth, **times, **given})

"""Date anchors: which dates meet which day, by the written rule; whom that makes a run's audience."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import isodate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.anchors import MOST_TIMES, read_anchor
from campaigns.due import read_schedule
from campaigns.models import occurrences, runs, schedules
from campaigns.schedule import start_due
from campaigns.store import create_campaign
from customers.models import appliances, customers, orders, service_visits
from runtime.errors import Invalid
from runtime.house import House
from segments import engine
from segments.context import EvaluationContext
from tests.campaigns.scene import add_people, body, record, work_off
from tests.campaigns.test_schedule import elected, scheduled, started
from tracking.models import messages

DAYS = [date(2023, 1, 1) + timedelta(days=number) for number in range(4 * 366)]


def days_of(anchor: dict[str, Any], when: date) -> list[str]:
    """The days among DAYS that an anchor date meets."""
    read = read_anchor(anchor)
    return [day.isoformat() for day in DAYS if any(low <= when <= high for low, high in read.dates(day))]


@pytest.mark.parametrize(
    ("anchor", "when", "expected"),
    [
        ({"field": "birthday"}, date(2024, 2, 29), ["2024-02-29"]),
        ({"field": "d", "after": "P3M"}, date(2023, 11, 30), ["2024-02-29"]),
        ({"field": "d", "after": "P1M1D"}, date(2024, 1, 31), ["2024-03-01"]),
        ({"field": "d", "before": "P14D"}, date(2024, 3, 7), ["2024-02-22"]),
        ({"field": "d", "before": "P1M"}, date(2024, 3, 31), ["2024-02-29"]),
        # Counted from the date itself: the 31st comes back after a short month.
        (
            {"field": "d", "every": "P1M", "times": 4},
            date(2024, 1, 31),
            ["2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"],
        ),
        ({"field": "d", "every": "P3M", "times": 3}, date(2023, 8, 31), ["2023-11-30", "2024-02-29", "2024-05-31"]),
        # 29 February is kept on the 28th in other years.
        (
            {"field": "birthday", "every": "P1Y"},
            date(1992, 2, 29),
            ["2023-02-28", "2024-02-29", "2025-02-28", "2026-02-28"],
        ),
        (
            {"field": "birthday", "every": "P1Y", "before": "P1W"},
            date(1992, 2, 29),
            ["2023-02-21", "2024-02-22", "2025-02-21", "2026-02-21"],
        ),
        ({"field": "d", "every": "P2W", "times": 2}, date(2024, 2, 20), ["2024-03-05", "2024-03-19"]),
    ],
)
def test_which_days_a_date_meets(anchor: dict[str, Any], when: date, expected: list[str]) -> None:
    assert days_of(anchor, when) == expected


@settings(max_examples=60, deadline=None)
@given(st.dates(date(1930, 1, 1), date(2026, 12, 31)), st.integers(1, 60), st.integers(0, 40))
def test_each_occurrence_of_a_date_is_met_exactly_once(when: date, months: int, days: int) -> None:
    """Against isodate's calendar, which clamps month ends alike."""
    text = f"P{months}M" + (f"{days}D" if days else "")
    every = read_anchor({"field": "d", "every": text})
    met = [day for day in DAYS for low, high in every.dates(day) for _ in range(low <= when <= high)]
    wanted = {when + isodate.Duration(months=months * k, days=days * k) for k in range(1, MOST_TIMES + 1)}
    assert met == sorted(wanted & set(DAYS))
    assert {day for day in DAYS if days_of_one(text, "before", day, when)} == {
        when - isodate.Duration(months=months, days=days)
    } & set(DAYS)


def days_of_one(text: str, side: str, day: date, when: date) -> bool:
    return any(low <= when <= high for low, high in read_anchor({"field": "d", side: text}).dates(day))


def test_a_rule_stays_small() -> None:
    every = read_anchor({"field": "ordered_at", "has": "orders", "every": "P1M"})
    assert len(every.dates(date(2027, 2, 28))) <= MOST_TIMES
    assert read_anchor(every.to_json()) == every


@pytest.mark.parametrize(
    ("anchor", "culprit"),
    [
        ("birthday", ""),
        ({}, ".field"),
        ({"field": "birthday", "on": 1}, ".on"),
        ({"field": "birthday", "after": "3 months"}, ".after"),
        ({"field": "birthday", "after": "P0D"}, ".after"),
        ({"field": "birthday", "after": "PT5M"}, ".after"),
        ({"field": "birthday", "after": "P1D", "before": "P1D"}, ".after"),
        ({"field": "birthday", "every": "P1D"}, ".every"),
        ({"field": "birthday", "times": 3}, ".times"),
        ({"field": "birthday", "every": "P1Y", "times": 0}, ".times"),
        ({"field": "birthday", "where": {"all": []}}, ".where"),
    ],
)
def test_a_bad_anchor_names_its_culprit(anchor: Any, culprit: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_anchor(anchor)
    assert [problem.path for problem in caught.value.problems] == [f"schedule.anchor{culprit}"]


WARRANTY = {
    "anchor": {
        "has": "appliances",
        "field": "warranty_until",
        "before": "P14D",
        "where": {"field": "status", "op": "eq", "value": "in_use"},
    },
    "time": "09:00",
    "timezone": "Asia/Shanghai",
}


@pytest.mark.parametrize(
    ("anchor", "culprit"),
    [
        ({"has": "ghosts", "field": "d"}, "has"),
        ({"field": "city"}, "field"),
        ({"has": "orders", "field": "birthday"}, "field"),
        ({"field": "birthday", "after": "P999Y"}, r"after: 'P999Y' meets nobody's day; 120 years at most"),
        ({"field": "birthday", "before": "P9999W"}, "before"),
        ({"field": "birthday", "every": "P120Y1D"}, "every"),
        ({"has": "orders", "field": "ordered_at", "where": {"field": "colour", "op": "eq", "value": 1}}, "where"),
    ],
)
async def test_an_anchor_that_is_not_there_is_refused_when_saved(house: House, anchor: Any, culprit: str) -> None:
    with pytest.raises(Invalid, match=rf"schedule\.anchor\.{culprit}"):
        await scheduled(house, {**WARRANTY, "anchor": anchor})


@pytest.mark.parametrize("span", ["P120Y", "P1440M"])
async def test_the_longest_span_is_still_a_day_of_somebody(house: House, span: str) -> None:
    anchor = {"field": "birthday", "after": span}
    assert await scheduled(house, {**WARRANTY, "anchor": anchor})
    assert read_anchor(anchor).dates(date(2026, 5, 1)) == [(date(1906, 5, 1), date(1906, 5, 1))]


async def test_each_day_those_whose_day_it_is(house: House) -> None:
    """Warranties that end on the 16th, 17th and 18th: told on the 2nd, 3rd and 4th, whatever else is missed."""
    async with house.database.begin() as conn:
        ids = await add_people(conn, 4)
        rows = [
            {"customer_id": one, "number": f"a{one}", "warranty_until": date(2026, 5, 16 + n), "status": "in_use"}
            for n, one in enumerate(ids[:3])
        ]
        rows.append({**rows[0], "customer_id": ids[3], "number": "scrap", "status": "disposed"})
        await conn.execute(insert(appliances), [_appliance(row) for row in rows])
    campaign_id = await scheduled(house, WARRANTY, options={"catch_up_hours": 30})
    term = await elected(house, "a")
    morning = datetime(2026, 5, 2, 1, tzinfo=UTC)
    await start_due(house, term, morning)
    await work_off(house)
    # Down over the next day: it is at most 30 hours late, and concerns other people, so both days are made up for.
    await start_due(house, term, morning + timedelta(days=2, hours=2))
    await work_off(house)
    assert await started(house, campaign_id) == [morning + timedelta(days=n) for n in range(3)]
    found = await record(house, campaign_id)
    assert (found["missed"], found["next_at"]) == ([], morning + timedelta(days=3))
    async with house.database.connect() as conn:
        rows_ = await conn.execute(select(messages.c.run_id, messages.c.customer_id).order_by(messages.c.run_id))
        assert [row.customer_id for row in rows_] == ids[:3]


async def test_days_too_late_are_missed_and_shown(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    campaign_id = await scheduled(house, WARRANTY, options={"catch_up_hours": 2})
    term = await elected(house, "a")
    await start_due(house, term, datetime(2026, 5, 4, 2, tzinfo=UTC))
    assert await started(house, campaign_id) == [datetime(2026, 5, 4, 1, tzinfo=UTC)]
    assert len((await record(house, campaign_id))["missed"]) == 2


async def test_nobody_twice_for_the_same_date_whatever_the_clock_does(house: House) -> None:
    """An instant of an order, on the workspace's day: 23:30 there is another day than in UTC."""
    async with house.database.begin() as conn:
        [who] = await add_people(conn, 1)
        await conn.execute(update(customers).values(birthday=date(1992, 2, 29)))
        ordered = {"customer_id": who, "number": "o1", "ordered_at": datetime(2026, 1, 31, 15, 30, tzinfo=UTC)}
        await conn.execute(insert(orders), [{**ordered, **ORDER}])
    every_month = {"has": "orders", "field": "ordered_at", "every": "P1M"}
    campaign_id = await scheduled(
        house,
        {"anchor": every_month, "time": "10:00", "timezone": "Asia/Shanghai"},
        now=datetime(2026, 2, 25, tzinfo=UTC),
        options={"catch_up_hours": 48},
    )
    term = await elected(house, "a")
    start = datetime(2026, 2, 25, 2, tzinfo=UTC)
    for day in range(10):
        for jump in (0, 1, -1, 24, -24, 0):
            await start_due(house, term, start + timedelta(days=day, hours=jump))
    await work_off(house)
    async with house.database.connect() as conn:
        assert len((await conn.execute(select(messages.c.run_id))).all()) == 1
        noted = (await conn.execute(select(occurrences.c.occurrence_utc))).scalars().all()
        assert len(noted) == len(set(noted)) == len(await started(house, campaign_id))
        assert await conn.scalar(select(schedules.c.cron)) == "0 10 * * *"


ORDER = {"number_folded": "o1", "status": "completed", "status_folded": "completed", "amount": 10, "refunded": 0}


def _appliance(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "status_folded": row["status"]}


@pytest.mark.parametrize(
    "anchor",
    [
        {"field": "birthday", "every": "P1Y"},
        {"field": "birthday", "every": "P1Y", "before": "P14D"},
        {"field": "created_at", "after": "P7D"},
    ],
    ids=lambda anchor: "-".join(anchor.values()),
)
async def test_a_day_is_found_by_an_index(conn: AsyncConnection, anchor: dict[str, Any]) -> None:
    """Else a day's people are looked for among all, with a comparison for each year since 1900."""
    people = """
        INSERT INTO customers (external_id, birthday, created_at)
        SELECT n, DATE '1930-01-01' + n * 7, now() - make_interval(hours => n) FROM generate_series(1, 3000) n
    """
    await conn.execute(text(people))
    await conn.execute(text("ANALYZE customers"))
    rule = {"all": [{"all": []}, read_anchor(anchor).rule(date(2026, 11, 23))]}
    chosen = await engine.freeze_select(
        conn, rule, EvaluationContext(datetime(2026, 11, 22, tzinfo=UTC), "Asia/Shanghai"), exclude=[]
    )
    compiled = chosen.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    plan = "\n".join((await conn.execute(text(f"EXPLAIN {compiled}".replace(":", r"\:")))).scalars())
    assert f"ix_customers_{anchor['field']}" in plan


HOURLY = {"anchor": {"has": "service_visits", "field": "completed_at", "after": "PT3H"}, "time": "*:30"}


@given(st.timedeltas(timedelta(0), timedelta(days=3_000)), st.integers(1, 2_000))
def test_hours_meet_every_instant_once(since: timedelta, hours: int) -> None:
    """Of the due times around, exactly one is about it: as many hours after it and less than one more."""
    instant = datetime(2020, 1, 1, tzinfo=UTC) + since
    for side, sign in (("after", 1), ("before", -1)):
        anchor = read_anchor({"field": "created_at", side: f"PT{hours}H"})
        first = instant.replace(minute=30, second=0, microsecond=0) + timedelta(hours=sign * hours - 3)
        about = []
        for due in (first + timedelta(hours=step) for step in range(8)):
            low, high = map(datetime.fromisoformat, anchor.rule_of(due, "Asia/Shanghai")["value"])
            if low <= instant <= high:
                about.append(sign * (due - instant))
        assert len(about) == 1
        assert timedelta(0) <= about[0] - timedelta(hours=hours) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ({**HOURLY, "time": "09:30"}, "schedule.time"),
        ({"anchor": {"field": "birthday"}, "time": "*:00"}, "schedule.time"),
        ({**HOURLY, "anchor": {"field": "created_at", "after": "P1DT3H"}}, "schedule.anchor.after"),
        ({**HOURLY, "anchor": {"field": "created_at", "after": "PT0H"}}, "schedule.anchor.after"),
        ({**HOURLY, "anchor": {"field": "created_at", "after": "PT"}}, "schedule.anchor.after"),
        ({**HOURLY, "anchor": {"field": "created_at", "every": "PT48H"}}, "schedule.anchor.every"),
        ({**HOURLY, "anchor": {"field": "d", "every": "P1Y", "before": "PT2H"}}, "schedule.anchor.before"),
    ],
)
def test_hours_where_they_cannot_be(schedule: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_schedule({**schedule, "timezone": "Asia/Shanghai"})
    assert path in [problem.path for problem in caught.value.problems]


async def test_a_campaign_hours_after_a_visit(house: House) -> None:
    """The visit of 09:10 is asked about at 12:30, that of 09:40 an hour later; a day has no hours."""
    launched_at = datetime(2026, 11, 23, 1, tzinfo=UTC)  # 09:00 in Shanghai
    at_shanghai = {**HOURLY, "timezone": "Asia/Shanghai"}
    async with house.database.begin() as conn:
        people = await add_people(conn, 3)
        for person, minute in zip(people, (10, 40, 40), strict=True):
            done = launched_at + timedelta(minutes=minute)
            kind = {"kind": "repair", "kind_folded": "repair", "completed_at": done}
            await conn.execute(insert(service_visits).values(customer_id=person, number=f"V{person}", **kind))
        with pytest.raises(Invalid) as caught:
            await create_campaign(
                conn,
                body(schedule={**at_shanghai, "anchor": {"field": "birthday", "after": "PT3H"}}),
                settings=house.settings,
                by="me",
            )
        assert [problem.path for problem in caught.value.problems] == ["schedule.anchor.field"]
        with pytest.raises(Invalid):
            await create_campaign(
                conn,
                body(schedule=at_shanghai, options={"recipient_local_time": True}),
                settings=house.settings,
                by="me",
            )
    campaign = await scheduled(house, at_shanghai, now=launched_at)
    term = await elected(house, "a")
    for hour in range(1, 7):
        await start_due(house, term, launched_at + timedelta(hours=hour, minutes=31))
    await work_off(house)
    async with house.database.connect() as conn:
        asked = select(messages.c.customer_id, runs.c.occurrence).join(runs, runs.c.id == messages.c.run_id)
        found = (await conn.execute(asked.where(messages.c.campaign_id == campaign))).all()
    at = {row.customer_id: (row.occurrence - launched_at) for row in found}
    assert [at[person] for person in people] == [timedelta(hours=3, minutes=30)] + 2 * [timedelta(hours=4, minutes=30)]

"""The calendar: runs, missed due times and those to come, with how many people."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update

from campaigns import halt
from campaigns.calendar import Entry, Span, entries
from campaigns.schedule import start_due
from customers.models import customers, orders
from runtime.house import House
from segments.context import EvaluationContext
from tests.campaigns.scene import add_people, body, work_off
from tests.campaigns.test_anchors import ORDER
from tests.campaigns.test_schedule import DAILY, elected, scheduled

DAY = timedelta(days=1)
MAY = datetime(2026, 4, 30, 16, tzinfo=UTC)  # midnight of 1 May in Shanghai
JUNE = MAY + 31 * DAY
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def seen(house: House, now: datetime, low: datetime = MAY, high: datetime = JUNE) -> list[Entry]:
    async with house.database.connect() as conn:
        return await entries(conn, Span(low, high, now), EvaluationContext(now, "Asia/Shanghai"))


def days(found: list[Entry], state: str) -> list[int]:
    return [entry.at.day for entry in found if entry.state == state]


async def test_past_missed_and_coming(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 3)
    daily = await scheduled(house, DAILY, options={"catch_up_hours": 2})
    once = await scheduled(house, {"at": "2026-05-09T09:00:00+08:00"}, name="Once")
    paused = await scheduled(house, {"at": "2026-05-20T09:00:00+08:00"}, name="Paused")
    async with house.database.begin() as conn:
        await halt.pause(conn, paused, now=NOON)
    draft = body(name="Draft", schedule={"at": "2026-05-10T09:00:00+08:00"})
    assert draft  # a draft goes nowhere, and is not shown
    now = datetime(2026, 5, 4, 1, 30, tzinfo=UTC)
    await start_due(house, await elected(house, "a"), now)
    await work_off(house)
    found = await seen(house, now)
    assert days(found, "missed") == [2, 3]
    [run] = [entry for entry in found if entry.state == "finished"]
    assert (run.campaign_id, run.at.day, run.people, run.estimated, run.kind) == (daily, 4, 3, False, "cron")
    assert run.late is not None
    coming = [entry for entry in found if entry.state == "coming"]
    assert [entry.at.day for entry in coming if entry.campaign_id == daily] == list(range(5, 32))
    assert {(entry.people, entry.estimated) for entry in coming} == {(3, True)}
    assert [(entry.campaign_id, entry.at.day) for entry in coming if entry.kind == "at"] == [(once, 9)]
    assert [(entry.campaign_id, entry.state) for entry in found if entry.at.day == 20 and entry.kind == "at"] == [
        (paused, "waiting")
    ]
    assert [entry.at for entry in found] == sorted(entry.at for entry in found)


async def test_what_comes_every_few_minutes_is_one_entry_a_day(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    await scheduled(house, {"cron": "*/10 * * * *", "timezone": "Asia/Shanghai"})
    found = await seen(house, NOON, MAY + 5 * DAY, MAY + 7 * DAY)
    assert [(entry.at, entry.times) for entry in found] == [(MAY + 5 * DAY, 144), (MAY + 6 * DAY, 144)]


async def test_days_of_an_anchor_say_whose_day_it_is(house: House) -> None:
    """Also far ahead, where the last of a month takes in those of the 29th to the 31st."""
    async with house.database.begin() as conn:
        ids = await add_people(conn, 3)
        for who, day in zip(ids, (29, 30, 31), strict=True):
            at = datetime(2026, 1, day, 3, tzinfo=UTC)
            await conn.execute(insert(orders), [{"customer_id": who, "number": f"o{day}", "ordered_at": at, **ORDER}])
        await conn.execute(update(customers).values(birthday=date(1990, 6, 2)))
    bought: dict[str, Any] = {"has": "orders", "field": "ordered_at", "after": "P13M"}
    await scheduled(house, {"anchor": bought, "time": "10:00", "timezone": "Asia/Shanghai"})
    found = await seen(house, NOON, datetime(2027, 2, 26, tzinfo=UTC), datetime(2027, 3, 2, tzinfo=UTC))
    assert [(entry.at.day, entry.people, entry.kind) for entry in found] == [
        (26, 0, "anchor"),
        (27, 0, "anchor"),
        (28, 3, "anchor"),
        (1, 1, "anchor"),  # not counted: as many as there are on average
    ]


async def test_own_time_says_when_the_run_starts(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)
    await scheduled(house, {"at": "2026-05-09T09:00:00+08:00"}, options={"recipient_local_time": True})
    [entry] = await seen(house, NOON)
    assert entry.starts_at == entry.at - timedelta(hours=6)

"""What is told before a launch is what the launch then does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from campaigns import store
from campaigns.foresight import Foresight, foresee
from campaigns.launch import launch
from campaigns.respect.rules import save_contact_rules
from customers.models import contact_addresses, customers, standing_consents
from runtime.clock import utc_now
from runtime.house import House
from tests.campaigns.scene import CONTENT, add_people, body, record, work_off

EMPTY = {**CONTENT, "subject": "{{ customer.name }} of {{ customer.district }}"}


async def drafted(house: House, **changes: object) -> int:
    async with house.database.begin() as conn:
        return await store.create_campaign(conn, body(**changes), settings=house.settings, by="me")


async def seen(house: House, campaign_id: int) -> Foresight:
    async with house.database.connect() as conn:
        found = await store.campaign(conn, campaign_id)
        return await foresee(conn, found, settings=house.settings, now=utc_now())


@pytest.mark.parametrize("options", [{}, {"holdout_percent": 30}, {"one_per_household": True}])
async def test_who_gets_it_and_who_does_not(house: House, options: dict[str, object]) -> None:
    async with house.database.begin() as conn:
        ids = await add_people(conn, 40)
        await add_people(conn, 5, consent=False, first=100)
        refused = standing_consents.c.customer_id.in_(ids[:4])
        await conn.execute(update(standing_consents).where(refused).values(granted=False))
        shared = contact_addresses.c.customer_id.in_(ids[4:7])
        await conn.execute(update(contact_addresses).where(shared).values(value="home@example.com"))
        await conn.execute(update(customers).where(customers.c.id.in_(ids[6:12])).values(household_id=7))
    campaign = await drafted(house, options=options)
    told = await seen(house, campaign)
    async with house.database.begin() as conn:
        await launch(conn, campaign, settings=house.settings, now=utc_now())
    await work_off(house)
    found = await record(house, campaign)
    assert (told.audience, told.reached) == (found["counts"]["audience"], found["counts"]["sent"])
    assert dict(told.skipped) == found["skipped_reasons"]
    assert told.problems == []


async def test_quiet_hours_are_those_of_the_due_time(house: House) -> None:
    now = utc_now()
    local = now.astimezone(house.settings.zone)
    quiet = {"from": f"{local - timedelta(minutes=30):%H:%M}", "to": f"{local + timedelta(minutes=30):%H:%M}"}
    async with house.database.begin() as conn:
        await add_people(conn, 3)
        await save_contact_rules(conn, {"quiet_hours": {"email": [quiet]}}, by=None, now=now)
    assert (await seen(house, await drafted(house))).last is not None
    later = await seen(house, await drafted(house, schedule={"at": (now + timedelta(hours=26)).isoformat()}))
    assert (later.reached, later.first, later.last) == (3, None, None)


async def test_who_is_due_only_after_the_deadline_is_told(house: House) -> None:
    now = utc_now()
    async with house.database.begin() as conn:
        ids = await add_people(conn, 3)
        await conn.execute(update(customers).where(customers.c.id == ids[0]).values(timezone="Pacific/Pago_Pago"))
    at = {"at": (now + timedelta(days=2)).isoformat()}
    options = {"recipient_local_time": True, "quiet_hours": "ignore", "deadline": 3}
    told = await seen(house, await drafted(house, schedule=at, options=options))
    assert told.warnings == ["1 of them would be due only after the deadline, and be cancelled"]
    assert (await seen(house, await drafted(house, schedule=at, options={**options, "deadline": 30}))).warnings == []


async def test_what_is_wrong_and_what_is_doubtful(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 3)
    lacking = await seen(house, await drafted(house, content=EMPTY))
    assert (lacking.reached, dict(lacking.empty)) == (3, {"customer.district": 3})
    nobody = await seen(house, await drafted(house, rule={"any": []}))
    assert [problem.message for problem in nobody.problems] == ["the audience matches nobody"]
    weekly = await seen(house, await drafted(house, schedule={"cron": "0 9 * * 1", "timezone": "Asia/Shanghai"}))
    assert weekly.due is not None
    assert weekly.due > utc_now()
    assert (weekly.reached, weekly.problems) == (3, [])
    past = (utc_now() - timedelta(days=1)).isoformat()
    late = await seen(house, await drafted(house, schedule={"at": past}))
    assert [problem.path for problem in late.problems] == ["schedule.at"]


async def test_times_that_people_wait_for_are_told(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 30)
    spread = await seen(house, await drafted(house, options={"spread_over": 120}))
    assert spread.first is not None
    assert spread.last is not None
    assert timedelta(minutes=30) < spread.last - utc_now() <= timedelta(minutes=121)

"""Contact rules over real campaigns, sent through the in-memory channel: who gets what, when, and why not."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from campaigns import halt
from campaigns.dispatch.batch import send
from campaigns.freeze import freeze, prepare_run
from campaigns.launch import resume
from campaigns.models import runs
from campaigns.respect.rules import save_contact_rules
from channels import registry
from channels.memory import MemoryChannel
from customers.models import contact_addresses, customers, service_visits, standing_consents
from runtime.clock import utc_now
from runtime.house import House
from segments.bucket import bucket
from segments.context import context_at
from segments.store import create_segment
from tests.campaigns.scene import add_people, launched, record, work_off
from tracking.models import messages


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryChannel:
    channel = MemoryChannel("memory")
    monkeypatch.setitem(registry._CHANNELS, "memory", channel)
    return channel


async def people(house: House, count: int) -> list[int]:
    async with house.database.begin() as conn:
        ids = await add_people(conn, count)
        await conn.execute(update(standing_consents).values(channel="memory"))
    return ids


async def rules(house: House, **given: Any) -> None:
    async with house.database.begin() as conn:
        await save_contact_rules(conn, given, by="me", now=utc_now())


async def campaign(house: House, **changes: Any) -> int:
    return await launched(house, channel="memory", **changes)


async def run_of(house: House, campaign_id: int) -> int:
    async with house.database.connect() as conn:
        found: int = (await conn.execute(select(runs.c.id).where(runs.c.campaign_id == campaign_id))).scalar_one()
    return found


async def prepared(house: House, campaign_id: int) -> int:
    run_id = await run_of(house, campaign_id)
    await prepare_run(house, run_id=run_id)
    return run_id


async def sent_and_skipped(house: House, campaign_id: int) -> tuple[int, dict[str, int]]:
    found = await record(house, campaign_id)
    assert found["state"] == "finished", found
    return found["counts"]["sent"], found["skipped_reasons"]


def quiet_for(now: datetime) -> list[dict[str, str]]:
    """A window of an hour around `now` (aware, in the zone in which it is meant)."""
    begins, ends = now - timedelta(minutes=30), now + timedelta(minutes=30)
    return [{"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}]


async def test_a_cap_lets_the_first_campaigns_through_and_says_why_the_others_do_not(
    house: House, memory: MemoryChannel
) -> None:
    await people(house, 20)
    await rules(house, frequency_caps={"all": {"week": 2}, "memory": {"month": 9}})
    for name in ("one", "two", "three"):
        campaign_id = await campaign(house, name=name)
        await work_off(house, future=True)
    assert len(memory.sent) == 40
    assert await sent_and_skipped(house, campaign_id) == (0, {"frequency_cap: all week": 20})
    ignoring = await campaign(house, name="recall", options={"frequency_cap": "ignore"})
    await work_off(house, future=True)
    assert await sent_and_skipped(house, ignoring) == (20, {})


async def test_two_campaigns_frozen_at_the_same_time_do_not_both_fill_the_last_place(
    house: House, memory: MemoryChannel
) -> None:
    await people(house, 50)
    await rules(house, frequency_caps={"memory": {"day": 1}})
    both = [await campaign(house, name=name) for name in ("one", "two")]
    wanted = [await run_of(house, campaign_id) for campaign_id in both]
    await asyncio.gather(*(prepare_run(house, run_id=run_id) for run_id in wanted))
    async with house.database.connect() as conn:
        queued = select(func.count()).where(messages.c.state == "queued").group_by(messages.c.customer_id)
        assert set((await conn.execute(queued)).scalars()) == {1}
    await work_off(house, future=True)
    assert len(memory.sent) == 50
    assert sorted([(await sent_and_skipped(house, one))[0] for one in both]) == [0, 50]


async def test_a_campaign_that_was_paused_counts_again_when_it_goes_on(house: House, memory: MemoryChannel) -> None:
    await people(house, 30)
    await rules(house, frequency_caps={"all": {"day": 1}})
    first = await campaign(house, name="first")
    await prepared(house, first)
    async with house.database.begin() as conn:
        await halt.pause(conn, first, now=utc_now())
    second = await campaign(house, name="second", rule={"field": "external_id", "op": "in", "value": ["p1", "p2"]})
    await work_off(house, future=True)
    assert await sent_and_skipped(house, second) == (2, {})
    async with house.database.begin() as conn:
        await resume(conn, first, now=utc_now())
    await work_off(house, future=True)
    assert await sent_and_skipped(house, first) == (28, {"frequency_cap: all day": 2})
    assert len({message.to for message in memory.sent}) == len(memory.sent) == 30


async def test_what_falls_into_quiet_hours_waits_on_each_ones_own_clock(house: House, memory: MemoryChannel) -> None:
    """Half of them live where it is quiet now; half an hour later it is quiet for nobody."""
    ids = await people(house, 20)
    now = utc_now()
    async with house.database.begin() as conn:
        await conn.execute(update(customers).where(customers.c.id.in_(ids[:10])).values(timezone="Pacific/Kiritimati"))
    await rules(house, quiet_hours={"memory": quiet_for(now.astimezone(house.settings.zone))})
    campaign_id = await campaign(house)
    await work_off(house)
    assert {message.to for message in memory.sent} == {f"p{number}@example.com" for number in range(1, 11)}
    async with house.database.connect() as conn:
        waiting = select(messages.c.not_before).where(messages.c.state == "queued").distinct()
        [end] = (await conn.execute(waiting)).scalars()
    assert timedelta(minutes=28) < end - now <= timedelta(minutes=31)
    await rules(house, quiet_hours={})
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET not_before = now()"))
        await conn.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"))
    await work_off(house, future=True)
    assert await sent_and_skipped(house, campaign_id) == (20, {})


async def test_quiet_hours_that_begin_after_the_freeze_hold_a_batch_back(house: House, memory: MemoryChannel) -> None:
    """As after a pause, a repeated try or a catch-up: what was frozen by day is loaded by night."""
    await people(house, 5)
    campaign_id = await campaign(house)
    run_id = await prepared(house, campaign_id)
    await rules(house, quiet_hours={"memory": quiet_for(utc_now().astimezone(house.settings.zone))})
    await send(house, run_id, 0)
    assert memory.sent == []
    async with house.database.connect() as conn:
        assert await conn.scalar(select(func.count()).where(messages.c.not_before > utc_now())) == 5
    ignoring = await campaign(house, name="recall", options={"quiet_hours": "ignore"})
    await send(house, await prepared(house, ignoring), 0)
    assert len(memory.sent) == 5


async def test_an_open_case_holds_promotion_back_at_the_freeze_and_up_to_the_last_moment(
    house: House, memory: MemoryChannel
) -> None:
    ids = await people(house, 6)
    await rules(house, service_hold_days=30)
    await complaint(house, ids[0])
    campaign_id = await campaign(house)
    await prepared(house, campaign_id)
    await complaint(house, ids[1])
    await work_off(house, future=True)
    assert await sent_and_skipped(house, campaign_id) == (4, {"open_service": 2})
    ignoring = await campaign(house, name="your visit", options={"service_hold": "ignore"})
    await work_off(house, future=True)
    assert await sent_and_skipped(house, ignoring) == (6, {})


async def complaint(house: House, customer_id: int) -> None:
    words = {"kind": "complaint", "kind_folded": "complaint", "status": "requested", "status_folded": "requested"}
    row = {"customer_id": customer_id, "number": f"V{customer_id}", "requested_at": utc_now(), **words}
    async with house.database.begin() as conn:
        await conn.execute(insert(service_visits).values(**row))


async def test_each_holdout_has_its_own_people_and_its_own_reason(house: House, memory: MemoryChannel) -> None:
    ids = await people(house, 200)
    await rules(house, holdout_percent=10)
    async with house.database.begin() as conn:
        segment = await create_segment(conn, "All", {"all": []}, holdout_percent=20)
    campaign_id = await launched(
        house, channel="memory", rule=None, segment_id=segment.id, options={"holdout_percent": 30}
    )
    run_id = await prepared(house, campaign_id)
    async with house.database.connect() as conn:
        written = select(messages.c.customer_id, messages.c.reason).where(messages.c.run_id == run_id)
        found = {row.customer_id: row.reason for row in await conn.execute(written)}
    for customer_id in ids:
        expected = None
        if bucket("holdout:global:", customer_id) < 1_000:
            expected = "global_holdout"
        elif bucket(f"holdout:segment:{segment.id}:", customer_id) < 2_000:
            expected = "segment_holdout"
        elif bucket("holdout:", customer_id) < 3_000:
            expected = "holdout"
        assert found[customer_id] == expected
    assert {None, "global_holdout", "segment_holdout", "holdout"} == {*found.values()}


async def test_a_household_gets_one_message(house: House, memory: MemoryChannel) -> None:
    ids = await people(house, 6)
    async with house.database.begin() as conn:
        await conn.execute(update(customers).where(customers.c.id.in_(ids[:3])).values(household_id=7))
        own = contact_addresses.c
        await conn.execute(update(contact_addresses).where(own.customer_id == ids[3]).values(value="p1@example.com"))
        await conn.execute(text("UPDATE activity SET engaged_until = now() WHERE customer_id = :id"), {"id": ids[1]})
    campaign_id = await campaign(house, options={"one_per_household": True})
    await work_off(house, future=True)
    assert await sent_and_skipped(house, campaign_id) == (4, {"same_household": 2})
    assert {message.to for message in memory.sent} == {
        "p2@example.com",  # the most engaged of the three
        "p1@example.com",  # of the fourth, who lives elsewhere: nobody got it at that address
        "p5@example.com",
        "p6@example.com",
    }


async def test_rules_that_are_switched_off_leave_no_trace_in_the_statement(
    house: House, memory: MemoryChannel, caplog: pytest.LogCaptureFixture
) -> None:
    await people(house, 3)
    await rules(house, service_hold_days=0, quiet_hours={})
    campaign_id = await campaign(house)
    run_id = await run_of(house, campaign_id)
    with caplog.at_level("INFO", "sqlalchemy.engine.Engine"):
        async with house.database.begin() as conn:
            await freeze(conn, run_id, context_at(utc_now(), house.settings))
    asked = " ".join(caplog.messages)
    assert "INSERT INTO messages" in asked
    for name in ("service_visits", "customers.timezone", "sha256(convert_to('holdout", "advisory_xact_lock"):
        assert name not in asked

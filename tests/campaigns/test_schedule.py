"""Due times become runs, each exactly once, whoever leads: FAULTS.md rows 7 to 9 on a clock that the test controls."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from campaigns import halt, store
from campaigns.launch import launch, resume
from campaigns.live.heads import heads, warned
from campaigns.models import occurrences, runs, schedules
from campaigns.schedule import start_due
from runtime.errors import Conflict, Invalid
from runtime.house import House
from runtime.leader import NotLeader, Term, acquire, release
from tests.campaigns.scene import Sink, add_people, body, record, work_off

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAILY = {"cron": "0 9 * * *", "timezone": "Asia/Shanghai"}  # 01:00 UTC


async def scheduled(house: House, schedule: object, *, now: datetime = NOON, **changes: object) -> int:
    async with house.database.begin() as conn:
        asked = body(schedule=schedule, **changes)
        campaign_id = await store.create_campaign(conn, asked, settings=house.settings, by=None)
        await launch(conn, campaign_id, settings=house.settings, now=now)
    return campaign_id


async def elected(house: House, holder: str) -> Term:
    async with house.database.begin() as conn:
        term = await acquire(conn, "scheduler", holder)
    assert term is not None
    return term


async def deposed(house: House, holder: str) -> None:
    async with house.database.begin() as conn:
        await release(conn, "scheduler", holder)


async def started(house: House, campaign_id: int) -> list[datetime]:
    async with house.database.connect() as conn:
        found = select(runs.c.occurrence).where(runs.c.campaign_id == campaign_id).order_by(runs.c.occurrence)
        return list((await conn.execute(found)).scalars())


@pytest.fixture
async def one(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 1)


@pytest.mark.usefixtures("one")
async def test_at_a_time_it_starts_once_and_then(house: House, sink: Sink) -> None:
    campaign_id = await scheduled(house, {"at": "2026-05-01T22:00:00+08:00"})
    term = await elected(house, "a")
    found = await record(house, campaign_id)
    assert (found["state"], found["next_at"]) == ("scheduled", NOON + 2 * HOUR)
    await start_due(house, term, NOON + HOUR)
    assert await started(house, campaign_id) == []
    for late in (0, 1, 2):
        await start_due(house, term, NOON + 2 * HOUR + late * timedelta(seconds=1))
    assert await started(house, campaign_id) == [NOON + 2 * HOUR]
    await work_off(house)
    found = await record(house, campaign_id)
    assert (found["state"], found["next_at"], len(sink.mails)) == ("finished", None, 1)


@pytest.mark.usefixtures("one")
async def test_by_cron_it_comes_back(house: House, sink: Sink) -> None:
    campaign_id = await scheduled(house, DAILY)
    term = await elected(house, "a")
    for day in range(1, 4):
        await start_due(house, term, datetime(2026, 5, 1 + day, 1, 0, 5, tzinfo=UTC))
        await work_off(house)
        found = await record(house, campaign_id)
        assert (found["state"], len(found["runs"]), len(sink.mails)) == ("scheduled", day, day)
    assert await started(house, campaign_id) == [datetime(2026, 5, 1 + day, 1, tzinfo=UTC) for day in range(1, 4)]
    assert len(set(sink.ids)) == 3


@pytest.mark.usefixtures("one")
async def test_a_hundred_schedules_and_two_schedulers_at_once(house: House) -> None:
    ids = [await scheduled(house, DAILY, name=f"C{number}") for number in range(100)]
    first = await elected(house, "a")
    due = datetime(2026, 5, 2, 1, 0, 1, tzinfo=UTC)
    same = Term(first.lease, first.number)
    await asyncio.gather(start_due(house, first, due), start_due(house, same, due))
    await deposed(house, "a")
    second = await elected(house, "b")
    assert second.number > first.number
    await start_due(house, second, due)
    for campaign_id in ids:
        assert await started(house, campaign_id) == [datetime(2026, 5, 2, 1, tzinfo=UTC)]
    async with house.database.connect() as conn:
        jobs = text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'campaigns.prepare_run'")
        assert await conn.scalar(jobs) == 100


@pytest.mark.usefixtures("one")
async def test_one_that_cannot_be_started_keeps_no_other_waiting(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    strange = await scheduled(house, DAILY, name="Martian")
    other = await scheduled(house, DAILY)
    async with house.database.begin() as conn:
        zone = update(schedules).where(schedules.c.campaign_id == strange)
        await conn.execute(zone.values(timezone="Mars/Olympus"))
    await start_due(house, await elected(house, "a"), NOON + 13 * HOUR)
    assert (len(await started(house, strange)), len(await started(house, other))) == (0, 1)
    assert f"campaign {strange} (Martian) is passed over" in caplog.text


@pytest.mark.usefixtures("one")
async def test_one_that_always_fails_is_tried_less_and_less_often_and_says_why(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    campaign_id = await scheduled(house, DAILY, name="Martian")
    term = await elected(house, "a")

    async def moved_to(zone: str) -> None:
        async with house.database.begin() as conn:
            this = update(schedules).where(schedules.c.campaign_id == campaign_id)
            await conn.execute(this.values(timezone=zone))

    async def tries() -> int:
        async with house.database.connect() as conn:
            return int(await conn.scalar(select(schedules.c.tries)) or 0)

    await moved_to("Mars/Olympus")
    due = NOON + 13 * HOUR
    for second in range(60):
        await start_due(house, term, due + second * timedelta(seconds=1))
    assert await tries() == 5  # after 2, 4, 8, 16 and 32 seconds
    assert caplog.text.count("is passed over") == 1
    told = "cannot be started, it is tried again: ZoneInfoNotFoundError: 'No time zone found with key Mars/Olympus'"
    assert (await record(house, campaign_id))["start_error"] == told
    async with house.database.connect() as conn:
        [head] = (await heads(conn, [campaign_id], under_way=False)).values()
        assert head.alarm == told
        assert [(one.id, one.reason) for one in await warned(conn, due)] == [(campaign_id, told)]
    await start_due(house, term, due - HOUR - DAY)  # a clock that went back: not due, and no harm
    await moved_to("Asia/Shanghai")
    await start_due(house, term, due + timedelta(minutes=2))
    assert len(await started(house, campaign_id)) == 1
    assert (await record(house, campaign_id))["start_error"] is None
    assert await tries() == 0
    assert "Mars/Olympus" in caplog.text


@pytest.mark.usefixtures("one")
async def test_a_leader_that_thaws_too_late_writes_nothing(house: House) -> None:
    campaign_id = await scheduled(house, DAILY)
    old = await elected(house, "a")
    await deposed(house, "a")
    await elected(house, "b")
    with pytest.raises(NotLeader):
        await start_due(house, old, NOON + DAY)
    assert await started(house, campaign_id) == []
    async with house.database.connect() as conn:
        assert await conn.scalar(select(schedules.c.next_at)) == datetime(2026, 5, 2, 1, tzinfo=UTC)


@pytest.mark.usefixtures("one")
async def test_down_across_three_due_times(house: House) -> None:
    campaign_id = await scheduled(house, DAILY, options={"catch_up_hours": 2})
    term = await elected(house, "a")
    await start_due(house, term, datetime(2026, 5, 4, 2, 30, tzinfo=UTC))
    found = await record(house, campaign_id)
    assert await started(house, campaign_id) == [datetime(2026, 5, 4, 1, tzinfo=UTC)]
    assert found["missed"] == [datetime(2026, 5, day, 1, tzinfo=UTC) for day in (2, 3)]
    assert found["next_at"] == datetime(2026, 5, 5, 1, tzinfo=UTC)


@pytest.mark.usefixtures("one")
async def test_too_late_is_missed_and_shown(house: House) -> None:
    campaign_id = await scheduled(house, {"at": "2026-05-01T13:00:00Z"}, options={"catch_up_hours": 1})
    term = await elected(house, "a")
    await start_due(house, term, NOON + 3 * HOUR)
    found = await record(house, campaign_id)
    assert (found["state"], found["runs"], found["missed"]) == ("finished", [], [NOON + HOUR])


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
async def test_a_clock_that_jumps_repeats_nothing(house: House, jump: timedelta) -> None:
    """Row 8: ahead and back again, each occurrence still comes once."""
    campaign_id = await scheduled(house, DAILY, options={"catch_up_hours": 100})
    term = await elected(house, "a")
    moments = [datetime(2026, 5, 2, 1, 0, 1, tzinfo=UTC) + step * HOUR for step in range(0, 72, 6)]
    for moment in moments:
        await start_due(house, term, moment)
        await start_due(house, term, moment + jump)
        await start_due(house, term, moment)
    found = await started(house, campaign_id)
    assert len(found) == len(set(found))
    async with house.database.connect() as conn:
        noted = list((await conn.execute(select(occurrences.c.occurrence_utc))).scalars())
    assert len(noted) == len(set(noted))
    assert {datetime(2026, 5, day, 1, tzinfo=UTC) for day in (2, 3, 4)} <= set(noted)


@pytest.mark.usefixtures("one")
async def test_paused_schedules_wait_and_the_catch_up_rule_decides(house: House) -> None:
    campaign_id = await scheduled(house, DAILY)
    term = await elected(house, "a")
    async with house.database.begin() as conn:
        await halt.pause(conn, campaign_id, now=NOON)
    await start_due(house, term, NOON + 2 * DAY)
    assert await started(house, campaign_id) == []
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=NOON + 2 * DAY)
    await start_due(house, term, NOON + 2 * DAY)
    found = await record(house, campaign_id)
    assert (found["state"], found["runs"], len(found["missed"])) == ("scheduled", [], 2)
    async with house.database.begin() as conn:
        await halt.cancel(conn, campaign_id, now=NOON + 2 * DAY)
    await start_due(house, term, NOON + 5 * DAY)
    found = await record(house, campaign_id)
    assert (found["state"], found["runs"], found["next_at"]) == ("cancelled", [], None)


@pytest.mark.usefixtures("one")
async def test_a_time_that_has_passed_is_refused_at_launch(house: House) -> None:
    with pytest.raises(Invalid, match=r"schedule\.at: 2026-05-01T11:00:00\+00:00 has passed"):
        await scheduled(house, {"at": "2026-05-01T19:00:00+08:00"})


@pytest.mark.usefixtures("one")
async def test_launched_twice_is_refused(house: House) -> None:
    campaign_id = await scheduled(house, None)
    async with house.database.begin() as conn:
        with pytest.raises(Conflict, match="is preparing: to launch it, it must be draft"):
            await launch(conn, campaign_id, settings=house.settings, now=NOON)
    assert await started(house, campaign_id) == [NOON]

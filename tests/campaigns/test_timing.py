"""When within a run each message may go: recipients' own time, best hours, spread over a window; the deadline."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select, update

from campaigns import deadline, halt
from campaigns.due import Schedule
from campaigns.freeze import freeze
from campaigns.launch import resume
from campaigns.models import runs, schedules
from campaigns.options import read_options
from campaigns.respect.rules import save_contact_rules
from campaigns.schedule import start_due
from campaigns.timing import MOST_SLOTS, Start, conflicts, hours, lead, own_time
from customers.models import customers
from runtime.errors import Invalid
from runtime.house import House
from segments.context import EvaluationContext
from tests.campaigns.scene import Sink, add_people, launched, record, work_off
from tests.campaigns.test_schedule import elected, scheduled
from tracking.models import events, messages
from tracking.partitions import make_ahead

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = datetime(2026, 5, 4, 1, tzinfo=UTC)  # 09:00 in Shanghai
DAILY = {"cron": "0 9 * * *", "timezone": "Asia/Shanghai"}


def start(now: datetime, occurrence: datetime = NINE) -> Start:
    return Start(1, occurrence, "Asia/Shanghai", now)


@pytest.mark.parametrize(
    ("zone", "occurrence", "expected"),
    [
        ("Asia/Shanghai", "2026-05-04T09:00+08:00", "2026-05-04T09:00+08:00"),
        (None, "2026-05-04T09:00+08:00", "2026-05-04T09:00+08:00"),
        ("Mars/Base", "2026-05-04T09:00+08:00", "2026-05-04T09:00+08:00"),
        ("Pacific/Kiritimati", "2026-05-04T09:00+08:00", "2026-05-04T09:00+14:00"),
        ("Pacific/Pago_Pago", "2026-05-04T09:00+08:00", "2026-05-04T09:00-11:00"),
        # The gap: the first instant after it; what comes twice: its first coming.
        ("America/New_York", "2026-03-08T02:30+08:00", "2026-03-08T03:00-04:00"),
        ("Europe/Helsinki", "2026-03-29T03:30+08:00", "2026-03-29T04:00+03:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:15+08:00", "2026-10-04T02:30+11:00"),
        ("America/New_York", "2026-11-01T01:30+08:00", "2026-11-01T01:30-04:00"),
        ("Europe/Helsinki", "2026-10-25T03:30+08:00", "2026-10-25T03:30+03:00"),
        ("Australia/Lord_Howe", "2026-04-05T01:45+08:00", "2026-04-05T01:45+11:00"),
    ],
)
def test_the_same_time_on_every_clock(zone: str | None, occurrence: str, expected: str) -> None:
    due = datetime.fromisoformat(occurrence)
    frozen = due - lead(read_options({"recipient_local_time": True}), due, "Asia/Shanghai") - HOUR
    assert own_time(start(frozen, due), zone, HOUR) == datetime.fromisoformat(expected)


def test_every_clock_of_the_world_is_ahead_of_the_start() -> None:
    due = NINE
    frozen = due - lead(read_options({"recipient_local_time": True}), due, "Asia/Shanghai")
    assert frozen == due - 6 * HOUR
    times = [own_time(start(frozen), zone, timedelta(0)) for zone in ("Pacific/Kiritimati", "Pacific/Auckland")]
    assert times == [None, frozen + 2 * HOUR]
    # A moment passes until the run is frozen: that is not late, whatever is made up for.
    assert own_time(start(frozen + timedelta(seconds=3)), "Pacific/Kiritimati", timedelta(0)) is None


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (-HOUR, NINE),
        (timedelta(0), None),
        (2 * HOUR, None),
        (2 * HOUR + DAY / 24, NINE + DAY),
        (26 * HOUR, NINE + 2 * DAY),
    ],
)
def test_where_the_time_has_passed(late: timedelta, expected: datetime | None) -> None:
    assert own_time(start(NINE + late), "Asia/Shanghai", 2 * HOUR) == expected


def test_the_hours_of_a_window() -> None:
    zone = ZoneInfo("America/New_York")
    begun = datetime(2026, 10, 31, 22, 20, tzinfo=zone)
    found = hours(begun.astimezone(UTC), timedelta(hours=6), zone)
    assert [(hour, moment.astimezone(zone).isoformat()[8:16]) for hour, moment in found.items()] == [
        (22, "31T22:20"),
        (23, "31T23:00"),
        (0, "01T00:00"),
        (1, "01T01:00"),
        (2, "01T02:00"),
        (3, "01T03:00"),
    ]
    assert len(hours(begun, timedelta(hours=24), ZoneInfo("Asia/Kolkata"))) == 24


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("2026-10-03T23:10", ["23:10", "00:00", "01:00", "02:30", "03:00", "04:00"]),  # 2:00 is 2:30
        ("2026-04-04T23:10", ["23:10", "00:00", "01:00", "02:00", "03:00"]),  # 2:00 is 1:30
    ],
)
def test_hours_begin_with_the_hour_after_half_an_hour_of_daylight_saving(begun: str, expected: list[str]) -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    found = hours(datetime.fromisoformat(begun).replace(tzinfo=zone), timedelta(hours=5), zone)
    assert [f"{moment.astimezone(zone):%H:%M}" for moment in found.values()] == expected


@pytest.mark.parametrize(
    ("schedule", "options", "culprit"),
    [
        (Schedule(), {"recipient_local_time": True}, "recipient_local_time"),
        (Schedule(at=NINE), {"recipient_local_time": True, "send_time_optimisation": True}, "send_time_optimisation"),
        (Schedule(), {"spread_over": 120, "deadline": 1}, "deadline"),
        (Schedule(), {"send_time_optimisation": {"window_hours": 8}, "deadline": 6}, "deadline"),
        (Schedule(), {"send_time_optimisation": {"window_hours": 5}, "spread_over": 120, "deadline": 6}, "deadline"),
    ],
)
def test_what_contradicts_is_refused(schedule: Schedule, options: dict[str, Any], culprit: str) -> None:
    assert [problem.path for problem in conflicts(schedule, read_options(options))] == [f"options.{culprit}"]
    assert conflicts(Schedule(at=NINE), read_options({"recipient_local_time": True, "spread_over": 30})) == []


@pytest.mark.parametrize(
    "options",
    [
        {"recipient_local_time": 1},
        {"send_time_optimisation": {"hours": 2}},
        {"send_time_optimisation": {"window_hours": 30}},
        {"spread_over": 0},
        {"deadline": "soon"},
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=f"options.{next(iter(options))}"):
        read_options(options)


async def planned(house: House) -> dict[int, datetime | None]:
    async with house.database.connect() as conn:
        rows = await conn.execute(select(messages.c.customer_id, messages.c.not_before))
        return {row.customer_id: row.not_before for row in rows}


async def one_time_a_batch(house: House) -> int:
    """The number of batches; each must have one time."""
    async with house.database.connect() as conn:
        times = func.count(func.distinct(func.coalesce(messages.c.not_before, NINE - 100 * DAY)))
        rows = (await conn.execute(select(messages.c.batch, times).group_by(messages.c.batch))).all()
        known = await conn.scalar(select(runs.c.batches))
    assert {row[1] for row in rows} == {1}
    assert known is not None
    assert all(row.batch < known for row in rows)
    return len(rows)


async def frozen(house: House, now: datetime) -> None:
    """All runs that are being prepared, frozen at `now`."""
    async with house.database.begin() as conn:
        for run_id in list((await conn.execute(select(runs.c.id).where(runs.c.state == "preparing"))).scalars()):
            await freeze(conn, run_id, EvaluationContext(now, "Asia/Shanghai"))


async def test_recipients_own_time(house: House) -> None:
    zones = ["Pacific/Kiritimati", "Asia/Shanghai", None, "America/New_York", "Mars/Base"]
    async with house.database.begin() as conn:
        ids = await add_people(conn, len(zones))
        for who, zone in zip(ids, zones, strict=True):
            await conn.execute(update(customers).where(customers.c.id == who).values(timezone=zone))
    campaign_id = await scheduled(
        house, DAILY, now=NINE - DAY, options={"recipient_local_time": True, "quiet_hours": "ignore"}
    )
    term = await elected(house, "a")
    async with house.database.connect() as conn:
        row = (await conn.execute(select(schedules.c.next_at, schedules.c.starts_at))).one()
    assert (row.next_at, row.starts_at) == (NINE, NINE - 6 * HOUR)
    await start_due(house, term, NINE - 6 * HOUR - timedelta(seconds=1))
    assert (await record(house, campaign_id))["runs"] == []
    await start_due(house, term, NINE - 6 * HOUR)
    await frozen(house, NINE - 6 * HOUR)
    found = await planned(house)
    assert [found[who] for who in ids] == [None, NINE, NINE, NINE + 12 * HOUR, NINE]
    assert await one_time_a_batch(house) == 3
    # The next day's run comes once, a day later, whatever is asked meanwhile; a zone changed moves nothing.
    async with house.database.begin() as conn:
        await conn.execute(update(customers).values(timezone="Europe/Helsinki"))
    for minutes in range(0, 24 * 60, 180):
        await start_due(house, term, NINE - 6 * HOUR + timedelta(minutes=minutes + 1))
    assert [run["occurrence"] for run in (await record(house, campaign_id))["runs"]] == [NINE]
    assert await planned(house) == found
    await start_due(house, term, NINE + 18 * HOUR)
    assert len((await record(house, campaign_id))["runs"]) == 2


async def test_a_run_that_starts_late_catches_up_by_the_rule(house: House) -> None:
    async with house.database.begin() as conn:
        ids = await add_people(conn, 2)
        await conn.execute(update(customers).where(customers.c.id == ids[0]).values(timezone="Pacific/Kiritimati"))
    options = {"recipient_local_time": True, "catch_up_hours": 2, "quiet_hours": "ignore"}
    await scheduled(house, {"at": NINE.isoformat()}, now=NINE - HOUR, options=options)
    term = await elected(house, "a")
    await start_due(house, term, NINE - HOUR)
    await frozen(house, NINE - HOUR)
    found = await planned(house)
    assert [found[who] for who in ids] == [NINE + 18 * HOUR, NINE]


async def test_spread_over_a_window(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 600)
    await scheduled(house, {"at": NINE.isoformat()}, now=NINE - DAY, options={"spread_over": 10})
    term = await elected(house, "a")
    await start_due(house, term, NINE)
    await frozen(house, NINE)
    steps = Counter((moment or NINE) - NINE for moment in (await planned(house)).values())
    assert sorted(steps) == [timedelta(minutes=minute) for minute in range(10)]
    assert min(steps.values()) > 30
    assert await one_time_a_batch(house) == 10


async def test_a_long_window_has_few_batches(house: House) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 500)
    await scheduled(house, {"at": NINE.isoformat()}, now=NINE - DAY, options={"spread_over": 7 * 24 * 60})
    await start_due(house, await elected(house, "a"), NINE)
    await frozen(house, NINE)
    assert await one_time_a_batch(house) <= MOST_SLOTS


def seen(who: int, kind: str, at: datetime, *, machine: bool = False) -> dict[str, Any]:
    key = uuid.UUID(bytes=hashlib.md5(f"{who}{kind}{at}{machine}".encode(), usedforsecurity=False).digest())
    return {"customer_id": who, "kind": kind, "kind_folded": kind, "at": at, "key": key, "machine": machine}


def local(day: int, hour: int) -> datetime:
    return datetime(2026, 4, day, hour, 10, tzinfo=ZoneInfo("Asia/Shanghai"))


async def with_habits(house: House) -> Sequence[int]:
    """One who clicked at 20 and opened at 7, one who opens at 7, one whose machine opens at 3, one without any, one who
    clicked at 12 long ago."""
    async with house.database.begin() as conn:
        ids = await add_people(conn, 5)
        rows = [
            seen(ids[0], "clicked", local(2, 20)),
            seen(ids[0], "opened", local(3, 7)),
            *(seen(ids[1], "opened", local(day, 7)) for day in (2, 3, 4, 5)),
            *(seen(ids[2], "opened", local(day, 3), machine=True) for day in (2, 3, 4)),
            seen(ids[4], "clicked", datetime(2025, 3, 1, 12, tzinfo=ZoneInfo("Asia/Shanghai"))),
        ]
        for month in {row["at"] for row in rows}:
            await make_ahead(conn, month)
        await conn.execute(insert(events), rows)
    return ids


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (24, [20, 7 + 24, 7 + 24, 7 + 24, 7 + 24]),  # those without a habit: at the audience's best hour
        (12, [20, 20, 20, 20, 20]),  # 7 o'clock is out of the window, so the audience's best hour in it is 20
        (2, [9, 9, 9, 9, 9]),
    ],
)
async def test_each_ones_best_hour(house: House, window: int, expected: list[int]) -> None:
    ids = await with_habits(house)
    options = {"send_time_optimisation": {"window_hours": window}, "quiet_hours": "ignore"}
    await scheduled(house, {"at": NINE.isoformat()}, now=NINE - DAY, options=options)
    await start_due(house, await elected(house, "a"), NINE)
    await frozen(house, NINE)
    found = await planned(house)
    assert [found[who] or NINE for who in ids] == [NINE + (hour - 9) * HOUR for hour in expected]
    await one_time_a_batch(house)


async def test_at_the_deadline_the_rest_is_cancelled_and_says_why(house: House, sink: Sink) -> None:
    async with house.database.begin() as conn:
        await add_people(conn, 40)
    campaign_id = await launched(house, options={"spread_over": 120, "deadline": 3})
    await work_off(house)
    gone = len(sink.mails)
    assert gone < 20
    async with house.database.begin() as conn:
        await halt.pause(conn, campaign_id, now=NINE)
        await resume(conn, campaign_id, now=NINE)
        run_id = await conn.scalar(select(runs.c.id))
        assert run_id is not None
        assert await deadline.end(conn, run_id, now=NINE) == 40 - gone
        assert await deadline.end(conn, run_id, now=NINE) == 0
    found = await record(house, campaign_id)
    assert (found["state"], found["counts"]["sent"], found["counts"]["cancelled"]) == ("finished", gone, 40 - gone)
    assert "deadline" in found["runs"][0]["note"]
    async with house.database.connect() as conn:
        reasons = select(messages.c.reason, func.count()).where(messages.c.state == "cancelled")
        assert (await conn.execute(reasons.group_by(messages.c.reason))).all() == [("deadline", 40 - gone)]


async def test_the_deadline_comes_by_itself(house: House, sink: Sink) -> None:
    """A run made up for after its deadline sends nothing that is still queued when the end's job runs."""
    async with house.database.begin() as conn:
        await add_people(conn, 3)
    options = {"deadline": 1, "spread_over": 60, "catch_up_hours": 168}
    campaign_id = await scheduled(house, {"at": "2026-05-04T09:00:00+08:00"}, now=NINE - DAY, options=options)
    await start_due(house, await elected(house, "a"), NINE + 2 * HOUR)
    await work_off(house)
    found = await record(house, campaign_id)
    assert found["state"] == "finished"
    assert found["counts"]["cancelled"] + found["counts"]["sent"] == 3
    assert found["counts"]["cancelled"] >= 2


async def test_down_across_three_due_times_and_up_again_in_quiet_hours(house: House) -> None:
    """Row 9: the latest is made up for, the others are shown as missed, and nothing goes before the quiet hours end."""
    async with house.database.begin() as conn:
        ids = await add_people(conn, 2)
        await conn.execute(update(customers).where(customers.c.id == ids[1]).values(timezone="Europe/Helsinki"))
        await save_contact_rules(conn, QUIET, by="me", now=NINE)
    evening = {"cron": "0 20 * * *", "timezone": "Asia/Shanghai"}
    campaign_id = await scheduled(house, evening, now=NINE - 3 * DAY, options={"catch_up_hours": 6})
    up = NINE + 14 * HOUR  # 23:00 in Shanghai, three hours late; 18:00 in Helsinki
    await start_due(house, await elected(house, "a"), up)
    await frozen(house, up)
    found = await record(house, campaign_id)
    assert [run["occurrence"] for run in found["runs"]] == [NINE + 11 * HOUR]
    assert found["missed"] == [NINE + 11 * HOUR - days * DAY for days in (3, 2, 1)]
    planned_for = await planned(house)
    assert [planned_for[who] for who in ids] == [NINE + 23 * HOUR, None]


QUIET = {"quiet_hours": {"email": [{"from": "21:00", "to": "08:00"}]}}

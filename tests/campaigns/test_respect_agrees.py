"""The contact rules in the freeze and while a batch is sent, against a plain Python reading over generated people."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, DateTime, Integer, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns, runs, snapshots
from campaigns.options import Options
from campaigns.respect.clocks import table_of
from campaigns.respect.household import skip_duplicates, would_skip
from campaigns.respect.judging import judging
from campaigns.respect.quiet import leaves_room, read_window
from campaigns.respect.rules import save_contact_rules
from campaigns.respect.underway import courtesy
from customers.models import activity, contact_addresses, customers, service_visits, standing_consents
from runtime.registry import ChannelKind
from segments.bucket import bucket
from segments.context import EvaluationContext
from tests.campaigns.scene import standing
from tracking.models import messages

Row = dict[str, Any]

EMAIL = ChannelKind("email", "email")
HOME = "Asia/Shanghai"
ZONES = [None, None, "America/New_York", "Pacific/Kiritimati", "Europe/Helsinki"]
OWN = 50  # the run that is frozen
GENERATED = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NOWS = [
    datetime(2026, 11, 22, 15, 50, tzinfo=UTC),  # just before Monday in Shanghai
    datetime(2026, 11, 30, 16, 0, tzinfo=UTC),  # December begins there
    datetime(2026, 3, 8, 6, 50, tzinfo=UTC),  # the clocks of New York are about to be put forward
    datetime(2026, 11, 1, 5, 30, tzinfo=UTC),  # and back
]


def some_rules(rng: Random) -> Row:
    caps: dict[str, dict[str, int]] = {}
    for channel in rng.sample(["all", "email", "sms"], rng.choice([0, 1, 2])):
        periods = rng.sample(["day", "week", "month"], rng.choice([1, 2]))
        caps[channel] = {period: rng.choice([1, 1, 2, 3]) for period in periods}
    windows: list[Row] = [
        {"from": f"{rng.randrange(24):02}:{rng.choice(['00', '30'])}", "to": f"{rng.randrange(24):02}:00"}
        for _ in range(rng.choice([0, 1, 2]))
    ]
    windows = [{**one, "days": rng.sample(range(1, 8), rng.choice([2, 5, 7]))} for one in windows]
    windows = windows if leaves_room([read_window(one) for one in windows]) else []
    return {
        "frequency_caps": caps,
        "quiet_hours": {"email": windows},
        "holdout_percent": rng.choice([0, 0, 20]),
        "service_hold_days": rng.choice([0, 10]),
    }


def near(rng: Random, now: datetime) -> datetime:
    """Within the last six weeks, often close to an hour of day that begins a day somewhere."""
    back = timedelta(days=rng.choice([0, 0, 0, 1, 2, 6, 7, 20, 31, 40]), hours=rng.randrange(25))
    return now - back - timedelta(minutes=rng.choice([0, 0, 1, 59]))


def some_messages(rng: Random, person: int, now: datetime) -> list[Row]:
    """What others sent them, or are about to send."""
    found = []
    for run in rng.sample([11, 12, 13, 14, 60, 61], rng.choice([0, 1, 2, 4])):
        state = rng.choice(["sent", "sent", "delivered", "bounced", "queued", "sending", "unknown", "skipped"])
        sent = near(rng, now) if state in ("sent", "delivered", "bounced") else None
        later = rng.choice([None, None, now - timedelta(hours=1), now + timedelta(hours=rng.randrange(1, 60))])
        own = {
            "customer_id": person,
            "run_id": run,
            "campaign_id": run,
            "channel": rng.choice(["email", "email", "sms"]),
        }
        when = {"sent_at": sent, "not_before": later if state == "queued" else None}
        doubted = near(rng, now) if state == "unknown" else None
        found.append({**own, **when, "doubted_at": doubted, "state": state, "step": 0})
    return found


def some_visits(rng: Random, person: int, now: datetime) -> list[Row]:
    visits = []
    for number in range(rng.choice([0, 0, 1, 2])):
        status = rng.choice([None, "requested", "scheduled", "completed", "cancelled", "waiting for parts"])
        own = {"customer_id": person, "number": f"{person}-{number}", "status": status, "status_folded": status}
        asked = rng.choice([None, now - timedelta(days=3), now - timedelta(days=30)])
        visited = rng.choice([None, None, now - timedelta(days=1), now + timedelta(days=1)])
        completed = rng.choice([None, None, now - timedelta(hours=1)])
        times = {"requested_at": asked, "visited_at": visited, "completed_at": completed, "created_at": now}
        visits.append({**own, **times})
    return visits


STATES = {11: "sending", 12: "sending", 13: "paused", 14: "finished", 60: "sending", 61: "finished", OWN: "preparing"}


def local(at: datetime, zone: str | None) -> datetime:
    return at.astimezone(ZoneInfo(zone or HOME))


def same(period: str, one: datetime, other: datetime, zone: str | None) -> bool:
    first, second = local(one, zone).date(), local(other, zone).date()
    if period == "day":
        return first == second
    if period == "week":
        return first.isocalendar()[:2] == second.isocalendar()[:2]
    return (first.year, first.month) == (second.year, second.month)


def first_open(rules: Row, now: datetime, zone: str | None) -> datetime:
    windows = [read_window(one) for one in rules["quiet_hours"].get("email", [])]
    while any(window.covers(local(now, zone)) for window in windows):
        now += timedelta(minutes=10)  # all begin and end at such a minute
    return now


def counted_at(row: Row, planned: datetime, now: datetime, waiting: set[int]) -> datetime | None:
    """When a message of another run counts; None where it does not."""
    if row["state"] in ("sent", "delivered", "bounced"):
        sent: datetime | None = row["sent_at"]
        return sent
    if row["state"] == "unknown":
        tried: datetime = row["doubted_at"]
        return tried
    if row["state"] in ("queued", "sending") and row["run_id"] in waiting:
        return max(now, row["not_before"] or now)
    return None


def over_cap(
    rules: Row, sent: list[Row], planned: datetime, now: datetime, zone: str | None, waiting: set[int]
) -> list[str]:
    """The caps that are reached in the period of `planned`."""
    reached = []
    for channel in ("all", "email"):
        for period, most in rules["frequency_caps"].get(channel, {}).items():
            about = [row for row in sent if channel == "all" or row["channel"] == channel]
            times = [at for row in about if (at := counted_at(row, planned, now, waiting)) is not None]
            if sum(same(period, at, planned, zone) for at in times) >= most:
                reached.append(f"frequency_cap: {channel} {period}")
    return reached


def open_case(rules: Row, visits: list[Row], now: datetime) -> bool:
    def is_open(row: Row) -> bool:
        opened = row["requested_at"] or row["visited_at"] or row["created_at"]
        if row["completed_at"] is not None or opened <= now - timedelta(days=rules["service_hold_days"]):
            return False
        if row["status"] is None:
            return row["visited_at"] is None or bool(row["visited_at"] > now)
        return row["status"] not in ("completed", "cancelled")

    return rules["service_hold_days"] > 0 and any(is_open(row) for row in visits)


def planned_members(plans: dict[int, datetime | None]) -> Select[Any]:
    """What campaigns/timing.py hands over."""
    columns = {"id": BigInteger(), "slot": Integer(), "not_before": DateTime(timezone=True)}
    rows = table_of("planned", columns, [(number, 0, at) for number, at in plans.items()])
    return select(*rows.c).join(customers, customers.c.id == rows.c.id)


def held_out(rules: Row, person: int, options: Options) -> str | None:
    if bucket("holdout:global:", person) < rules["holdout_percent"] * 100:
        return "global_holdout"
    if bucket("holdout:segment:7:", person) < 2_500:
        return "segment_holdout"
    return "holdout" if bucket("holdout:", person) < options.holdout_percent * 100 else None


@asynccontextmanager
async def undone(conn: AsyncConnection) -> AsyncIterator[None]:
    savepoint = await conn.begin_nested()
    try:
        yield
    finally:
        await savepoint.rollback()


async def a_world(conn: AsyncConnection, rng: Random, now: datetime) -> tuple[dict[int, Row], Row]:
    """People with zones, messages and visits, and the rules that stand."""
    people: dict[int, Row] = {
        number: {
            "zone": rng.choice(ZONES),
            "sent": some_messages(rng, number, now),
            "visits": some_visits(rng, number, now),
        }
        for number in range(1, 26)
    }
    await conn.execute(insert(customers), [{"id": number, "timezone": one["zone"]} for number, one in people.items()])
    await conn.execute(insert(standing_consents), [standing(number) for number in people])
    addresses = [{"customer_id": number, "kind": "email", "value": f"{number}@example.com"} for number in people]
    await conn.execute(insert(contact_addresses), addresses)
    for table, key in ((messages, "sent"), (service_visits, "visits")):
        if rows := [row for one in people.values() for row in one[key]]:
            await conn.execute(insert(table), rows)
    await some_runs(conn, now)
    rules = some_rules(rng)
    await save_contact_rules(conn, rules, by="me", now=now)
    return people, rules


async def some_runs(conn: AsyncConnection, now: datetime) -> None:
    for number, state in STATES.items():
        await conn.execute(insert(campaigns).values(id=number, name=f"c{number}", channel="email"))
        texts: Row = {"compiled": {}, "audience": {}, "options": {}}
        await conn.execute(insert(snapshots).values(id=number, campaign_id=number, sender="x", **texts))
        ended = now - timedelta(hours=1) if state == "finished" else None
        values = {"snapshot_id": number, "occurrence": now, "state": state, "frozen_at": now, "finished_at": ended}
        await conn.execute(insert(runs).values(id=number, campaign_id=number, **values))


@GENERATED
@given(seed=st.integers(0, 2**32))
async def test_the_freeze_judges_as_a_plain_reading_does(conn: AsyncConnection, seed: int) -> None:
    rng = Random(seed)
    now = rng.choice(NOWS)
    manners = {
        name: rng.choice(["obey", "obey", "ignore"]) for name in ("frequency_cap", "quiet_hours", "service_hold")
    }
    options = Options.from_json({"holdout_percent": rng.choice([0.0, 30.0]), **manners})
    async with undone(conn):
        people, rules = await a_world(conn, rng, now)
        context = EvaluationContext(now, HOME)
        segment = {"segment_id": 7, "percent": 25.0}
        plans = {number: rng.choice([None, None, now + timedelta(hours=rng.randrange(1, 60))]) for number in people}
        judge = await judging(conn, OWN, EMAIL, options, segment, context, now + timedelta(hours=60))
        found = await conn.execute(judge.judged(planned_members(plans), many=rng.random() < 0.5))
        told = {row.id: row for row in found}
    assert told.keys() == people.keys()
    for number, one in people.items():
        obeyed = rules if options.quiet_hours == "obey" else {**rules, "quiet_hours": {}}
        wanted = plans[number] or now
        planned = first_open(obeyed, wanted, one["zone"])
        assert told[number].not_before == (plans[number] if planned == wanted else planned), (seed, number)
        expected = None
        if options.service_hold == "obey" and open_case(rules, one["visits"], now):
            expected = {"open_service"}
        elif options.frequency_cap == "obey":
            expected = {*over_cap(rules, one["sent"], planned, now, one["zone"], {11, 12, 60})}
        if expected:
            assert told[number].reason in expected, (seed, number)
        else:
            assert told[number].reason == held_out(rules, number, options), (seed, number)


@GENERATED
@given(seed=st.integers(0, 2**32))
async def test_what_is_asked_while_a_batch_is_sent_agrees(conn: AsyncConnection, seed: int) -> None:
    """Then messages that wait count in runs with a lower number alone, and only those that are due."""
    rng = Random(seed)
    now = rng.choice(NOWS)
    async with undone(conn):
        people, rules = await a_world(conn, rng, now)
        asked = await courtesy(conn, OWN, EMAIL, Options(), list(people), HOME)
        capped_now = dict(await asked.over_cap(conn, now))
        again = dict(await asked.over_cap(conn, now))
        objecting = await asked.objecting(conn, list(people), now)
        barred = {**capped_now, **objecting}
        assert (again, await asked.objecting(conn, list(people), now)) == (capped_now, objecting)
    for number, one in people.items():
        due = [row for row in one["sent"] if row["not_before"] is None or row["not_before"] <= now]
        capped = over_cap(rules, due, now, now, one["zone"], {11, 12})
        if open_case(rules, one["visits"], now):
            assert barred[number] == "open_service"
        elif capped:
            assert barred[number] in capped, (seed, number)
        else:
            assert number not in barred, (seed, number)
        waits = asked.quiet_until(number, now)
        planned = first_open(rules, now, one["zone"])
        assert waits == (None if planned == now else planned), (seed, number)


def chosen_in_turn(people: dict[int, Row]) -> dict[int, str | None]:
    """One after the other, the most engaged first: who gets the message, and why the others do not."""
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)

    def standing_in_row(number: int) -> tuple[bool, float, float, int]:
        one = people[number]
        last = max((at for at in (one["opened"], one["clicked"]) if at is not None), default=long_ago)
        return one["score"] is None, -(one["score"] or 0), -last.timestamp(), number

    fates: dict[int, str | None] = {}
    homes: set[int] = set()
    addresses: set[str] = set()
    for number in sorted(people, key=standing_in_row):
        one = people[number]
        home = one["home"] or -number
        if home in homes:
            fates[number] = "same_household"
        elif one["address"] in addresses:
            fates[number] = "duplicate_address"
        else:
            fates[number] = None
            homes.add(home)
            addresses.add(one["address"])
    return fates


@GENERATED
@given(seed=st.integers(0, 2**32))
async def test_one_message_a_household_is_as_chosen_one_by_one(conn: AsyncConnection, seed: int) -> None:
    rng = Random(seed)
    now = NOWS[0]
    people = {
        number: {
            "home": rng.choice([None, None, *range(1, 9)]),
            "address": f"{rng.randrange(15)}@example.com",
            "score": rng.choice([None, None, 1, 2]),
            "opened": rng.choice([None, now - timedelta(days=rng.randrange(3))]),
            "clicked": rng.choice([None, now - timedelta(days=rng.randrange(3))]),
        }
        for number in range(1, 31)
    }
    homes = [{"id": number, "household_id": one["home"]} for number, one in people.items()]
    engaged = [
        {
            "customer_id": number,
            "engaged_until": one["score"] and now + timedelta(days=one["score"]),
            "last_opened_at": one["opened"],
            "last_clicked_at": one["clicked"],
        }
        for number, one in people.items()
        if one["score"] or one["opened"] or one["clicked"] or rng.random() < 0.5
    ]
    own = {"run_id": OWN, "step": 0, "campaign_id": 1, "channel": "email", "state": "queued", "batch": 0}
    written = [{**own, "customer_id": number, "address": one["address"]} for number, one in people.items()]
    async with undone(conn):
        await conn.execute(insert(customers), homes)
        if engaged:
            await conn.execute(insert(activity), engaged)
        await conn.execute(insert(messages), written)
        told = await would_skip(conn, select(*messages.c["customer_id", "address"]).where(messages.c.run_id == OWN))
        await skip_duplicates(conn, OWN, one_per_household=True)
        rows = await conn.execute(select(*messages.c["customer_id", "state", "reason", "batch"]))
        found = {row.customer_id: row for row in rows}
    assert told == Counter(row.reason for row in found.values() if row.state == "skipped"), seed
    expected = chosen_in_turn(people)
    for number, row in found.items():
        got = expected[number] is None
        assert (row.state == "queued") is got, (seed, number)
        assert (row.batch is None) is not got
        lives_there = people[number]["home"] is not None and any(
            expected[other] is None and people[other]["home"] == people[number]["home"] for other in people
        )
        if not got:
            assert row.reason == ("same_household" if lives_there else "duplicate_address"), (seed, number)

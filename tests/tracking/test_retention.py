"""Old events leave: what they said stays counted, files hold them once, and whoever is erased is in none any more."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.breakdowns import devices
from customers.erasing import erase
from customers.merging import merge
from customers.models import activity, orders
from runtime.database import Database
from runtime.errors import Conflict
from runtime.house import House
from runtime.registry import sources
from tests.tracking.people_with_mail import make_messages, make_people
from tests.tracking.test_archive import rows_of
from tracking import archive_files
from tracking.facts import Fact, FactKind
from tracking.ingest import store
from tracking.install import put_events_away_job
from tracking.leaving import LONGEST_WINDOW, take_out
from tracking.ledger import MessageKey, Outcome, record_outcomes
from tracking.models import archive_codes, events, messages, past_folds
from tracking.models import archive_files as files
from tracking.partitions import PAST, make_ahead, month_of, months_made, name_of
from tracking.recount import Differences, recount
from tracking.retention import horizon, put_away, would_leave
from tracking.states import State

FIRST = datetime(2020, 1, 1, tzinfo=UTC)
NOW = datetime(2021, 6, 15, tzinfo=UTC)
BEFORE = horizon(NOW, 13)
NONE = Differences(0, 0, 0)
LINK = "https://shop.example.com/air"


def some_fact(rng: random.Random, key: MessageKey) -> Fact:
    """Anything seen of a message, by a person or a machine, at any time from FIRST to NOW."""
    kind = rng.choice([FactKind.OPENED, FactKind.OPENED, FactKind.CLICKED, FactKind.VIEWED, FactKind.PAGE_VISIT])
    at = FIRST + (NOW - FIRST) * rng.random()
    link = LINK if kind is FactKind.CLICKED else None
    return Fact(key, kind, at, rng.choice([None, None, "proxy"]), "a browser", link, 0 if link else None)


@pytest.fixture
async def history(db: Database) -> list[MessageKey]:
    """Twelve people with two messages each of January 2020, seen at all times since; one ordered, one unsubscribed."""
    rng = random.Random(5)
    async with db.begin() as conn:
        for number in range(18):
            await make_ahead(conn, month_of(FIRST, number))
        people = await make_people(conn, 12)
        keys = [key for run in (1, 2) for key in await make_messages(conn, people, run_id=run, state="queued")]
        await record_outcomes(conn, [Outcome(key, State.SENT, FIRST) for key in keys])
        await store(conn, [some_fact(rng, rng.choice(keys)) for _ in range(600)], NOW)
        gone = Fact(keys[0], FactKind.UNSUBSCRIBED, FIRST + timedelta(days=9), agent="a browser", source="page")
        await store(conn, [gone], NOW)
        order = {"number": "O1", "status": "completed", "amount": 10, "ordered_at": FIRST + timedelta(days=70)}
        await conn.execute(insert(orders), {"customer_id": keys[1].customer_id, **order})
        await recount(conn)  # folds the order
    return keys


async def folds(conn: AsyncConnection) -> list[Any]:
    """All that is counted of messages and people, and what campaigns were read on."""
    read_on = [await devices(conn, campaign) for campaign in (10, 20)]
    counted = await conn.execute(select(messages).order_by(messages.c.customer_id, messages.c.run_id))
    return [read_on, *counted, *await conn.execute(select(activity).order_by(activity.c.customer_id))]


async def count(conn: AsyncConnection, *where: Any) -> int:
    return int(await conn.scalar(select(func.count()).select_from(events).where(*where)) or 0)


async def test_folds_stay_as_they_were_and_recount_agrees(db: Database, history: list[MessageKey]) -> None:
    async with db.connect() as conn:
        before, old = await folds(conn), await count(conn, events.c.at < BEFORE)
        planned = await would_leave(conn, BEFORE)
    left = await put_away(db, BEFORE, None, batch=7)
    assert sum(month.events for month in left) == sum(month.events for month in planned) > 100
    async with db.begin() as conn:
        assert await folds(conn) == before
        assert await recount(conn) == NONE
        assert await count(conn, events.c.at < BEFORE) == old - sum(month.events for month in left)
        assert (await months_made(conn))[0] == BEFORE
        assert await would_leave(conn, BEFORE) == []
    assert await put_away(db, BEFORE, None) == []


async def test_what_proves_something_or_led_to_an_order_stays(db: Database, history: list[MessageKey]) -> None:
    await put_away(db, BEFORE, None)
    ordered_at, buyer = FIRST + timedelta(days=70), history[1].customer_id
    async with db.connect() as conn:
        stayed = (await conn.execute(select(events).where(events.c.at < BEFORE))).all()
        home = await conn.scalar(text(f"SELECT count(*) FROM {PAST}"))
    assert len(stayed) == home
    assert [row.kind for row in stayed if row.customer_id == history[0].customer_id] == ["unsubscribed"]
    touches = [row for row in stayed if row.kind != "unsubscribed"]
    assert touches
    for row in touches:
        assert (row.customer_id, row.machine) == (buyer, False)
        assert ordered_at - LONGEST_WINDOW <= row.at <= ordered_at


async def test_later_history_goes_on_from_there(db: Database, history: list[MessageKey]) -> None:
    await put_away(db, BEFORE, None)
    rng = random.Random(6)
    async with db.begin() as conn:
        late = [some_fact(rng, rng.choice(history)) for _ in range(100)]  # some of them told late, of old months
        await store(conn, late, NOW)
        assert await recount(conn) == NONE
        await merge(conn, history[2].customer_id, history[3].customer_id, now=NOW)
        assert await recount(conn) == NONE
    [rest] = await put_away(db, BEFORE, None)
    assert rest.month == "past"
    next_year = horizon(NOW + timedelta(days=200), 13)
    assert await put_away(db, next_year, None) != []
    async with db.begin() as conn:
        assert await recount(conn) == NONE


async def test_a_scanner_that_comes_to_an_old_mail_moves_only_what_is_its_own(
    db: Database, history: list[MessageKey]
) -> None:
    await put_away(db, BEFORE, None)
    key, at = history[4], NOW - timedelta(days=1)
    async with db.begin() as conn:
        await conn.execute(text("""INSERT INTO link_tables (run_id, links) VALUES (1, '["a", "b"]')"""))
        await recount(conn)
        before = await folds(conn)
        swept = [Fact(key, FactKind.CLICKED, at + timedelta(seconds=n), None, "x", "ab"[n], n) for n in (0, 1)]
        await store(conn, swept, NOW)
        assert await recount(conn) == NONE
        after = await folds(conn)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert all(new.machine_clicked_at == at for _, new in changed if hasattr(new, "machine_clicked_at"))
    assert all((old.clicks, old.opens) == (new.clicks, new.opens) for old, new in changed if hasattr(new, "clicks"))


def lines(folder: Path) -> list[dict[str, str]]:
    return [row for file in sorted(folder.iterdir()) for row in rows_of(file)]


async def test_files_hold_each_event_that_left_once(db: Database, history: list[MessageKey], tmp_path: Path) -> None:
    left = await put_away(db, BEFORE, tmp_path / "kept", batch=7)
    written = lines(tmp_path / "kept")
    assert len(written) == sum(month.events for month in left)
    assert len({(row["person"], row["at"], row["kind"]) for row in written}) == len(written)
    assert {month.file for month in left if month.events} == {
        tmp_path / f"kept/events-2020-{n:02}.csv.gz" for n in range(1, 5)
    }
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(files).where(files.c.finished_at.is_(None))) == 0


async def test_who_is_killed_is_followed_by_one_who_goes_on(
    db: Database, history: list[MessageKey], tmp_path: Path
) -> None:
    """Stopped early; then killed after a piece was written and before it was committed."""
    folder, turns = tmp_path / "kept", iter([True, True, True, False, False, False])
    async with db.connect() as conn:
        before, planned = await folds(conn), sum(month.events for month in await would_leave(conn, BEFORE))
    await put_away(db, BEFORE, folder, going=lambda: next(turns), batch=7)
    async with db.connect() as conn:
        file = await archive_files.go_on(conn, folder, "2020-01")
        assert file.events > 0
        await take_out(conn, name_of(FIRST), BEFORE, -1, 5)
        assert (await archive_files.add(conn, file, "2020-01")).size > file.size
    async with db.begin() as conn:
        assert await recount(conn) == NONE
    await put_away(db, BEFORE, folder, batch=7)
    assert len(lines(folder)) == planned
    async with db.begin() as conn:
        assert await folds(conn) == before
        assert await recount(conn) == NONE


async def test_nobody_can_tell_any_more_who_an_erased_person_was(
    db: Database, history: list[MessageKey], tmp_path: Path
) -> None:
    await put_away(db, BEFORE, tmp_path)
    person = history[2].customer_id
    async with db.begin() as conn:
        codes = await codes_of(conn, [person])
        assert {row["person"] for row in lines(tmp_path)} >= codes != set()
        await erase(conn, person)
        assert await codes_of(conn, [person]) == set()
        assert await conn.scalar(select(func.count()).where(past_folds.c.customer_id == person)) == 0
        assert await recount(conn) == NONE
    assert not {str(person)} & {value for row in lines(tmp_path) for name, value in row.items() if name == "person"}


async def codes_of(conn: AsyncConnection, people: Sequence[int]) -> set[str]:
    found = select(archive_codes.c.code).where(archive_codes.c.customer_id.in_(people))
    return {str(code) for code in (await conn.execute(found)).scalars()}


async def test_strays_before_the_horizon_leave_too(db: Database, history: list[MessageKey]) -> None:
    """What lay outside of all months, since there were none so early."""
    async with db.begin() as conn:
        early = Fact(history[0], FactKind.OPENED, FIRST - timedelta(days=400))
        await store(conn, [early], NOW)
        await recount(conn)
    assert "past" in [month.month for month in await put_away(db, BEFORE, None)]
    async with db.begin() as conn:
        assert await count(conn, events.c.at < FIRST) == 0
        assert await recount(conn) == NONE


async def test_one_at_a_time_and_a_year_at_least(db: Database, history: list[MessageKey]) -> None:
    with pytest.raises(Conflict, match="at least 13"):
        horizon(NOW, 12)
    async with db.connect(autocommit=True) as conn:
        await conn.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": 0x7265_7469})
        with pytest.raises(Conflict, match="another process"):
            await put_away(db, BEFORE, None)
    assert "events" in sources()


async def test_the_setting_does_it_by_itself(house: House, history: list[MessageKey], tmp_path: Path) -> None:
    async with house.database.connect() as conn:
        planned = sum(month.events for month in await would_leave(conn, BEFORE))
    await put_events_away_job(house)
    async with house.database.connect() as conn:
        assert sum(month.events for month in await would_leave(conn, BEFORE)) == planned
    settings = replace(house.settings, events_months=13, events_archive=tmp_path / "kept")
    await put_events_away_job(replace(house, settings=settings))
    async with house.database.connect() as conn:
        assert await would_leave(conn, BEFORE) == []
    assert len(lines(tmp_path / "kept")) > planned > 100  # by the clock all of this history is long ago

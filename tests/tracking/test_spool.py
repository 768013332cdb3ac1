"""With the database away facts wait on the disk: every one is there afterwards, and once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from customers.models import standing_consents
from runtime.database import Database
from runtime.errors import Unavailable
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people
from tests.waiting import until
from tracking.collector import Collector
from tracking.facts import Fact, FactKind
from tracking.ledger import MessageKey
from tracking.models import events, messages
from tracking.recount import Differences, recount
from tracking.spool import Refused, Spool

LATER = SENT_AT + timedelta(hours=1)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def clicked(key: MessageKey, minute: int = 0) -> Fact:
    at = LATER + timedelta(minutes=minute, microseconds=123_457)
    return Fact(key, FactKind.CLICKED, at, agent='a "browser" \ud800', link="https://shop.example.com/é", link_index=0)


@pytest.fixture
async def away() -> AsyncIterator[Database]:
    made = Database("postgresql://nobody@127.0.0.1:1/nothing")
    yield made
    await made.close()


@pytest.fixture
async def keys(db: Database) -> Sequence[MessageKey]:
    async with db.begin() as conn:
        return await make_messages(conn, await make_people(conn, 20))


async def spooled(database: Database, folder: Path, facts: Sequence[Fact]) -> None:
    """The facts, taken in by a process that cannot reach the database and then ends."""
    collector = Collector(database, Spool(folder))
    for fact in facts:
        await collector.record(fact)
    await collector.close()


async def replayed(database: Database, folder: Path) -> None:
    """Another process starts, and nothing waits any more."""
    collector = Collector(database, Spool(folder))
    collector.open()
    await until(lambda: not Spool(folder).anything())
    await collector.close()


def suffixes(folder: Path) -> list[str]:
    return [path.suffix for path in folder.iterdir()]


def tear(folder: Path) -> None:
    """The second line is cut off, and half a line stands between them."""
    [file] = folder.iterdir()
    one, two = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(one + one[:40] + b"\n" + two + two[:-10])


async def differences(db: Database) -> Differences:
    async with db.begin() as conn:
        return await recount(conn)


async def test_what_was_answered_while_the_database_was_away_is_there_afterwards_and_once(
    db: Database, away: Database, tmp_path: Path, keys: Sequence[MessageKey]
) -> None:
    await differences(db)  # their rows were made by hand
    facts = [clicked(key, minute) for key in keys for minute in range(3)]
    await spooled(away, tmp_path / "spool", facts)
    shutil.copytree(tmp_path / "spool", tmp_path / "again")  # as after a crash between the commit and the deletion
    for folder in ("spool", "again"):
        await replayed(db, tmp_path / folder)
        async with db.connect() as conn:
            assert await conn.scalar(select(func.count()).select_from(events)) == 60
            assert await conn.scalar(select(func.sum(messages.c.clicks))) == 60
            assert await conn.scalar(select(func.min(events.c.at))) == facts[0].at
    assert (await differences(db)).total == 0


async def test_a_word_that_is_replayed_again_does_not_undo_a_later_one(
    db: Database, away: Database, tmp_path: Path, keys: Sequence[MessageKey]
) -> None:
    gone = Fact(keys[0], FactKind.UNSUBSCRIBED, LATER, source="one-click")
    await spooled(away, tmp_path / "spool", [gone])
    shutil.copytree(tmp_path / "spool", tmp_path / "again")
    await replayed(db, tmp_path / "spool")
    collector = Collector(db)
    await collector.record(gone._replace(kind=FactKind.RESUBSCRIBED, at=LATER + timedelta(minutes=1), source="page"))
    await replayed(db, tmp_path / "again")
    async with db.connect() as conn:
        assert (
            await conn.scalar(select(messages.c.unsubscribed_at).where(messages.c.unsubscribed_at.is_not(None))) is None
        )
        assert (await conn.execute(select(standing_consents.c.granted))).scalar_one() is True


async def test_half_a_line_was_never_answered(
    db: Database, away: Database, tmp_path: Path, keys: Sequence[MessageKey]
) -> None:
    await spooled(away, tmp_path, [clicked(keys[0]), clicked(keys[1])])
    tear(tmp_path)
    await replayed(db, tmp_path)
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(events)) == 2


async def test_a_file_that_a_living_process_writes_to_is_its_own(tmp_path: Path, keys: Sequence[MessageKey]) -> None:
    one, other, seen = Spool(tmp_path), Spool(tmp_path), []

    async def write(facts: Sequence[Fact]) -> None:
        seen.extend(facts)

    await one.keep([clicked(keys[0])])
    assert await other.replay(write) == 0
    assert await one.replay(write) == 1
    assert seen == [clicked(keys[0])]
    assert not one.anything()


async def test_what_the_database_refuses_is_kept_for_a_person(tmp_path: Path, keys: Sequence[MessageKey]) -> None:
    spool = Spool(tmp_path)

    async def write(facts: Sequence[Fact]) -> None:
        raise Refused("no such thing")

    await spool.keep([clicked(keys[0])])
    assert await spool.replay(write) == 0
    assert not spool.anything()
    assert suffixes(tmp_path) == [".refused"]


async def test_without_a_disk_nothing_is_promised(away: Database, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder")
    collector = Collector(away, Spool(tmp_path / "spool"))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await collector.record(clicked(MessageKey(1, 1)))
    await collector.close()


async def test_a_database_that_comes_back_is_written_to_at_once_again(
    db: Database, away: Database, tmp_path: Path, keys: Sequence[MessageKey]
) -> None:
    collector = Collector(away, Spool(tmp_path))
    await collector.record(clicked(keys[0]))
    collector._database = db  # the same address answers again
    collector._seen._database = db
    await until(lambda: not Spool(tmp_path).anything())
    await collector.record(clicked(keys[1]))
    assert not Spool(tmp_path).anything()
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(events)) == 2
    await collector.close()

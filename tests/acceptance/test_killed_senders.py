"""FAULTS.md row 1: workers killed at random points while a campaign goes out.

At full size with HEARTH_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import text

from campaigns.dispatch.verdicts import IN_DOUBT
from runtime.house import House, open_house
from runtime.settings import load_settings
from runtime.worker import release_stalled
from tests.acceptance import deliberate_sink, nursery
from tests.acceptance.counting_sink import CountingSink, counting_sink
from tests.acceptance.exact import PATIENCE, PEOPLE, Print, balanced, check_agreement, gone, ledger, settle
from tests.campaigns.scene import launched, record
from tests.waiting import until

KILLS = 20
CONNECTIONS = 4
MUTE, SILENT = 3, 2  # people whose server swallows the first answer, or all
SECRET = "a secret for tests that is long enough"


@dataclass
class Ground:
    """A database with its senders, and what they send to."""

    house: House
    sink: CountingSink
    environ: dict[str, str]
    log: Path

    def sender(self) -> ForkServerProcess:
        return nursery.start(self.environ, self.log, "worker")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[CountingSink]:
    with counting_sink(tmp_path, deliberate_sink.__name__) as running:
        yield running


@pytest.fixture
async def ground(database_url: str, tmp_path: Path, sink: CountingSink) -> AsyncIterator[Ground]:
    environ = {
        "HEARTH_DATABASE_URL": database_url,
        "HEARTH_DATA_DIR": str(tmp_path / "var"),
        "HEARTH_SECRET_KEY": SECRET,
        "HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?connections={CONNECTIONS}",
    }
    async with open_house(load_settings(environ, env_file=tmp_path / "none")) as house:
        yield Ground(house, sink, environ, tmp_path / "workers.log")


async def test_killed_senders_lose_nothing_and_repeat_only_what_was_between_dot_and_commit(
    ground: Ground, figures: Print
) -> None:
    house, sink, rng = ground.house, ground.sink, random.Random(1)
    async with house.database.begin() as conn:
        await settle(conn, PEOPLE)
        await settle(conn, MUTE, first=PEOPLE + 1, domain="mute")
        await settle(conn, SILENT, first=PEOPLE + MUTE + 1, domain="silent")
    audience = PEOPLE + MUTE + SILENT
    campaign_id = await launched(house)
    at_risk = [0]
    for kill in range(KILLS):
        sender = ground.sender()
        mark = sink.count() + rng.randint(1, int(0.9 * PEOPLE / KILLS))
        await until(lambda mark=mark: sink.count() >= mark, PATIENCE)
        await killed(house, sink, sender)
        at_risk.append(await unrecorded(house, sink, campaign_id))
        assert 0 <= at_risk[-1] - at_risk[-2] <= CONNECTIONS, f"kill {kill + 1}"
        found = await record(house, campaign_id)
        assert balanced(found["counts"])
        assert (found["state"], found["counts"]["sending"]) == ("sending", 0)
        if kill < KILLS - 1:  # the last one's jobs come back by themselves
            await release_stalled(house, 0.0)
    async with working(ground):
        await until(lambda: finished(house, campaign_id), PATIENCE)
    found = await record(house, campaign_id)
    lost, repeated = await check_agreement(house.database, sink, campaign_id)
    bound = at_risk[-1]
    figures(f"row 1: {KILLS} kills, audience {audience}, lost {lost}, duplicated {repeated}, bound {bound} "
            f"(dots without a commit when killed; at most {KILLS * CONNECTIONS})")  # fmt: skip
    assert lost == 0
    assert repeated <= bound
    assert balanced(found["counts"])
    assert (found["counts"]["sent"], found["counts"]["unknown"]) == (PEOPLE + MUTE, SILENT)
    await check_doubts(house)


async def check_doubts(house: House) -> None:
    """Whose answer never came was tried twice, no more; who answered the second time counts as sent."""
    statement = text("SELECT state, attempts, reason FROM messages WHERE address LIKE :domain")
    async with house.database.connect() as conn:
        mute = (await conn.execute(statement, {"domain": "%@mute.example"})).all()
        silent = (await conn.execute(statement, {"domain": "%@silent.example"})).all()
    assert [row.state for row in mute] == ["sent"] * MUTE
    assert [(row.state, row.attempts) for row in silent] == [("unknown", 2)] * SILENT
    assert all(row.reason.startswith(IN_DOUBT) for row in silent)


async def killed(house: House, sink: CountingSink, sender: ForkServerProcess) -> None:
    """Dead, and all that it had said has been heard: by the sink, and by the database."""
    assert sender.pid is not None
    assert sender.exitcode is None, "the sender ended by itself"
    sender.kill()
    await asyncio.to_thread(sender.join)
    await until(sink.at_rest, PATIENCE)
    await gone(house.database, sender.pid)


async def unrecorded(house: House, sink: CountingSink, campaign_id: int) -> int:
    return sink.count() - (await ledger(house.database, campaign_id)).attempts


async def finished(house: House, campaign_id: int) -> bool:
    """Whether the campaign is over; those in doubt are due now, so that nobody has to wait two minutes for them."""
    found = await ledger(house.database, campaign_id)
    if found.open > MUTE + SILENT:
        return False
    async with house.database.begin() as conn:
        await conn.execute(text("UPDATE messages SET not_before = NULL WHERE state = 'queued' AND not_before > now()"))
        await conn.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now()")
        )
    over = (await record(house, campaign_id))["state"] == "finished"
    assert not (over and (await ledger(house.database, campaign_id)).open), "finished early"
    return bool(over)


@asynccontextmanager
async def working(ground: Ground) -> AsyncIterator[ForkServerProcess]:
    """A sender for the duration of the block, which then stops when asked to."""
    sender = ground.sender()
    try:
        yield sender
        sender.terminate()
        await asyncio.to_thread(sender.join, PATIENCE)
        assert sender.exitcode == 0
    finally:
        if sender.exitcode is None:
            sender.kill()

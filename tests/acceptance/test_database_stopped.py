"""FAULTS.md rows 3 and 4: the database stopped at once, and its disk full, while a campaign goes out.

The embedded database under a web process and a worker. At full size with HEARTH_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from runtime.database import Database
from runtime.errors import Unavailable
from runtime.postgres import Server
from tests.acceptance import deliberate_sink
from tests.acceptance.counting_sink import CountingSink, counting_sink
from tests.acceptance.exact import PATIENCE, PEOPLE, SOAK, Api, Print, balanced, check_agreement, ledger, settle
from tests.acceptance.hall import Hall
from tests.waiting import until

CONNECTIONS = 4
STOPS = 20 if SOAK else 5
RESUME_SECONDS = 30.0 if SOAK else PATIENCE  # elsewhere other tests take the processor
DISK_MB = 3_000 if SOAK else 400
FULL_SECONDS = 200.0 if SOAK else 8.0  # how long the disk stays full; a sender gives a commit up after a minute
SILENT_SECONDS = 3.0  # without a final dot: nothing goes
EVERYBODY = {"all": []}
CONTENT = {"subject": "Hello {{ customer.name }}", "html": "<p>Dear {{ customer.name }}</p>"}


@dataclass
class Ground:
    """An installation over the embedded database, and what it sends to."""

    hall: Hall
    api: Api
    database: Database
    postgres: Server
    sink: CountingSink

    def processes(self) -> list[int]:
        assert [name for name, process in self.hall.running.items() if process.poll() is not None] == []
        return [process.pid for process in self.hall.running.values()]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[CountingSink]:
    with counting_sink(tmp_path, deliberate_sink.__name__) as running:
        yield running


@asynccontextmanager
async def installed(folder: Path, sink: CountingSink) -> AsyncIterator[Ground]:
    hall = Hall(folder, {"HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?connections={CONNECTIONS}"})
    postgres = Server(folder / "var")  # never joined: whether it runs is the matter of those who use it
    try:
        api = Api(hall)
        hall.start("web", "web", "--port", str(hall.port))
        hall.start("worker", "worker")
        await hall.answering()
        database = Database(postgres.url)
        async with database.begin() as conn:
            await settle(conn, PEOPLE)
        yield Ground(hall, api, database, postgres, sink)
        await database.close()
    finally:
        await hall.stop()


async def test_a_database_that_is_stopped_at_once_again_and_again(
    tmp_path: Path, sink: CountingSink, figures: Print
) -> None:
    rng = random.Random(3)
    async with installed(tmp_path, sink) as ground:
        processes = ground.processes()
        campaign_id = await ground.api.launched(rule=EVERYBODY, content=CONTENT)
        slowest = 0.0
        for _ in range(STOPS):
            mark = sink.count() + rng.randint(1, int(0.8 * PEOPLE / STOPS))
            await until(lambda mark=mark: sink.count() >= mark, PATIENCE)
            slowest = max(slowest, await stopped(ground))
            assert await not_over(ground, campaign_id)
        lost, repeated = await ended(ground, campaign_id)
        assert ground.processes() == processes
    figures(
        f"row 3: {STOPS} stops, lost {lost}, duplicated {repeated}, bound {STOPS * CONNECTIONS}, "
        f"resumed within {slowest:.1f} s"
    )
    assert lost == 0
    assert repeated <= STOPS * CONNECTIONS
    assert slowest <= RESUME_SECONDS


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
async def test_a_full_disk_stops_the_sending_until_there_is_room(
    tmp_path: Path, sink: CountingSink, figures: Print
) -> None:
    with small_disk(tmp_path / "var") as disk:
        async with installed(tmp_path, sink) as ground:
            processes = ground.processes()
            campaign_id = await ground.api.launched(rule=EVERYBODY, content=CONTENT)
            await until(lambda: sink.count() >= PEOPLE // 10, PATIENCE)
            with full(disk):
                await until(lambda: time.monotonic() - sink.look()[-1].at > SILENT_SECONDS, PATIENCE)
                silent = sink.count()
                assert silent < PEOPLE, "the campaign was over before the disk was full"
                assert await told(ground) == 507
                begun = time.monotonic()
                await until(lambda: time.monotonic() - begun > FULL_SECONDS, PATIENCE)
                # What the database still finds room for may go on; nothing may go whose predecessor it could not take.
                known = (await ledger(ground.database, campaign_id)).attempts
                count = sink.count()
                unrecorded = count - known
                assert await told(ground) == 507
            room_at = time.monotonic()
            await until(lambda: sink.count() > count + CONNECTIONS, PATIENCE)
            resumed = time.monotonic() - room_at
            lost, repeated = await ended(ground, campaign_id)
            assert ground.processes() == processes
    figures(
        f"row 4: disk full for {FULL_SECONDS:.0f} s, {unrecorded} final dots without a commit, lost {lost}, "
        f"duplicated {repeated}, bound {CONNECTIONS}, resumed {resumed:.1f} s after there was room"
    )
    assert lost == 0
    assert unrecorded <= CONNECTIONS
    assert repeated <= CONNECTIONS


async def stopped(ground: Ground) -> float:
    """PostgreSQL is stopped as by `pg_ctl stop -m immediate`; seconds until mails go out again."""
    postmaster = int((ground.postgres.cluster.data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGQUIT)
    stopped_at = time.monotonic()
    await until(lambda: not Path(f"/proc/{postmaster}").exists(), PATIENCE)
    in_flight = ground.sink.count() + CONNECTIONS
    await until(lambda: ground.sink.count() > in_flight, PATIENCE)
    return time.monotonic() - stopped_at


async def not_over(ground: Ground, campaign_id: int) -> bool:
    """Whether the campaign is still being sent, and rightly; asked until there is an answer."""
    state = ""

    async def told_so() -> bool:
        nonlocal state
        with suppress(httpx.TransportError, Unavailable):
            before = await ledger(ground.database, campaign_id)
            answer = await ground.api.client.get(f"/campaigns/{campaign_id}")
            if answer.is_success:
                state = answer.json()["state"]
                assert balanced(answer.json()["counts"])
                assert state == "sending" or before.open == 0, f"{state} with {before.open} messages left"
        return bool(state)

    await until(told_so, PATIENCE)
    return state == "sending"


async def ended(ground: Ground, campaign_id: int) -> tuple[int, int]:
    """The campaign has reached everybody; how many people were lost, how many mails repeated."""
    found = await ground.api.reached(campaign_id, "finished")
    assert found["counts"]["sent"] == found["counts"]["audience"] == PEOPLE
    return await check_agreement(ground.database, ground.sink, campaign_id)


async def told(ground: Ground) -> int:
    """The status of the answer to who wants to keep something new."""
    answer = await ground.api.client.post(
        "/templates", json={"name": "x", "channel": "email", "subject": "x", "html": "x" * 100_000}
    )
    return answer.status_code


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own at `folder`."""
    folder.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0711", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on `disk` until the block ends."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        filler.unlink()

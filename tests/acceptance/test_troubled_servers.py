"""FAULTS.md rows 10, 11, 12, 14 and 24: a campaign to a server with all their troubles, and to people for whom its
content is a bomb.

At full size with HEARTH_SOAK=1 (`make soak`), where everything comes back by itself but what must wait for half an
hour. Row 10's rates: tests/campaigns/sending/test_fairness.py; row 13: tests/channels/test_tls.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from campaigns.launch import resume
from campaigns.models import campaigns
from runtime.clock import utc_now
from runtime.house import House, open_house
from runtime.settings import load_settings
from tests.acceptance import nursery, troubled_sink
from tests.acceptance.counting_sink import CountingSink, Dot, counting_sink
from tests.acceptance.exact import PATIENCE, PEOPLE, SOAK, Print, balanced, check_agreement, settle
from tests.acceptance.memory import peak_mb
from tests.acceptance.troubled_sink import POLICY_WORDS, Trouble, trouble_of
from tests.campaigns.scene import launched, record
from tests.campaigns.test_bombs import BOMBS, content
from tests.waiting import until

CONNECTIONS = 8
ANSWER_SECONDS = 3 if SOAK else 2
DOMAINS = {"gone": PEOPLE // 50, "grey": PEOPLE // 20, "busy": PEOPLE // 20}
WAITS = timedelta(minutes=3) if SOAK else timedelta(seconds=8)  # who waits longer than that is brought back
HALF_AN_HOUR = timedelta(minutes=30)
WORKER_MB = 200.0
SECRET = "a secret for tests that is long enough"
MISFITS = (Trouble.EXTRA, Trouble.MISSING, Trouble.WRONG)  # it cannot be known which message an answer is missing for
FAILING = {Trouble.GONE: "550 5.1.1 no such user", Trouble.FULL: "552 5.2.2 mailbox full"}


@dataclass
class Ground:
    """A database, and the server that a worker sends to."""

    house: House
    sink: CountingSink
    environ: dict[str, str]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[CountingSink]:
    with counting_sink(tmp_path, troubled_sink.__name__) as running:
        yield running


@pytest.fixture
async def ground(database_url: str, tmp_path: Path, sink: CountingSink) -> AsyncIterator[Ground]:
    options = f"connections={CONNECTIONS}&timeout={ANSWER_SECONDS}"
    environ = {
        "HEARTH_DATABASE_URL": database_url,
        "HEARTH_DATA_DIR": str(tmp_path / "var"),
        "HEARTH_SECRET_KEY": SECRET,
        "HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?{options}",
    }
    async with open_house(load_settings(environ, env_file=tmp_path / "none")) as house:
        yield Ground(house, sink, environ)


async def test_all_troubles_of_servers_and_contents_at_once(ground: Ground, tmp_path: Path, figures: Print) -> None:
    house, sink = ground.house, ground.sink
    await people(house)
    bombs = [(f"Person {number(address)}", bomb) for address, (bomb, _) in BOMBS.items()]
    campaign_id = await launched(house, content=content(*bombs))
    begun = utc_now()
    sender = nursery.start(ground.environ, tmp_path / "worker.log", "worker")
    try:
        await until(lambda: in_state(house, campaign_id, "paused"), PATIENCE)
        await check_the_pause(house, campaign_id)
        await until(lambda: nothing_due_within(house, WAITS), PATIENCE)
        await check_those_who_wait(house, begun)
        await until(lambda: brought_back(house, campaign_id), PATIENCE)
        assert sender.pid is not None
        peak = peak_mb(sender.pid)
        sender.terminate()
        await asyncio.to_thread(sender.join, PATIENCE)
        assert sender.exitcode == 0
    finally:
        sender.kill()

    assert balanced((await record(house, campaign_id))["counts"])
    lost, repeated = await check_agreement(house.database, sink, campaign_id)
    found = await ledger_of(house)
    bombed = {address for address in found if number(address) in {number(bomb) for bomb in BOMBS}}
    met = Counter(trouble_of(address) for address in found if address not in bombed)
    troubles = sum(count for trouble, count in met.items() if trouble)
    assert (lost, repeated) == (0, 0)
    assert set(met) == {None, *Trouble}
    check_states(found, bombed)
    twice = check_dots(sink.look(), met)
    figures(
        f"rows 10, 11, 12, 14: audience {len(found)}, {troubles} troubles of {len(met) - 1} kinds, lost {lost}, "
        f"duplicated {twice}, each of them in doubt at first, bound {met[Trouble.DOUBT]} + "
        f"{sum(met[trouble] for trouble in MISFITS)} connections with answers that did not fit; "
        f"the worker took {peak:.0f} MB at most\n"
        f"row 24: {len(bombed)} bombs among {len(found)}, each failed its recipient alone"
    )
    assert await suppressed(house) == {address for address in found if trouble_of(address) is Trouble.GONE}
    assert peak < WORKER_MB


async def people(house: House) -> None:
    """One of the middle is refused for policy; the domains that refuse come last."""
    half = (PEOPLE - sum(DOMAINS.values())) // 2
    async with house.database.begin() as conn:
        await settle(conn, half)
        await settle(conn, 1, first=half + 1, domain="policy")
        await settle(conn, half - 1, first=half + 2)
        first = 2 * half + 1
        for domain, count in DOMAINS.items():
            await settle(conn, count, first=first, domain=domain)
            first += count


def number(address: str) -> int:
    return int(address[1:].partition("@")[0])


async def in_state(house: House, campaign_id: int, state: str) -> bool:
    async with house.database.connect() as conn:
        return await conn.scalar(select(campaigns.c.state).where(campaigns.c.id == campaign_id)) == state


async def check_the_pause(house: House, campaign_id: int) -> None:
    """Row 11: the server's words, nobody else's fault; and it goes on."""
    found = await record(house, campaign_id)
    assert balanced(found["counts"])
    assert found["pause_reason"] == POLICY_WORDS
    assert not [address for address in await suppressed(house) if trouble_of(address) is not Trouble.GONE]
    async with house.database.begin() as conn:
        await resume(conn, campaign_id, now=utc_now())


async def nothing_due_within(house: House, span: timedelta) -> bool:
    soon = text(
        "SELECT NOT EXISTS (SELECT FROM messages WHERE state IN ('queued', 'sending')"
        " AND (not_before IS NULL OR not_before < now() + :span))"
    )
    async with house.database.connect() as conn:
        return bool(await conn.scalar(soon, {"span": span}))


async def check_those_who_wait(house: House, begun: datetime) -> None:
    """Who is greylisted waits half an hour (row 10). Some are not, whose refusal nobody heard: it came behind the
    answer to a message whose connection broke, and when they came again the window was over."""
    waiting = text("SELECT count(*), min(not_before) FROM messages WHERE state = 'queued' AND address LIKE '%@grey.%'")
    async with house.database.connect() as conn:
        count, soonest = (await conn.execute(waiting)).one()
    assert 0.9 * DOMAINS["grey"] <= count <= DOMAINS["grey"]
    assert soonest - begun >= HALF_AN_HOUR


async def brought_back(house: House, campaign_id: int) -> bool:
    """Whether the campaign is over; all who wait are due now, and no domain is held back."""
    if await in_state(house, campaign_id, "finished"):
        return True
    if not await nothing_due_within(house, timedelta(0)):
        return False
    async with house.database.begin() as conn:
        await conn.execute(text("DELETE FROM held_domains"))
        await conn.execute(text("UPDATE messages SET not_before = NULL WHERE state = 'queued' AND not_before > now()"))
        await conn.execute(
            text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at > now()")
        )
    return False


async def ledger_of(house: House) -> Mapping[str, Any]:
    async with house.database.connect() as conn:
        rows = await conn.execute(text("SELECT address, state, attempts, reason FROM messages"))
        return {row.address: row for row in rows}


def check_states(found: Mapping[str, Any], bombed: set[str]) -> None:
    """Each message ended as its own trouble wants it, and with the answer that was given to it (row 14)."""
    for address, row in found.items():
        trouble = trouble_of(address)
        if address in bombed:
            assert row.state == "failed"
            assert row.reason.startswith("the content cannot be rendered for this person")
        elif trouble in FAILING:
            assert (row.state, row.reason) == ("failed", FAILING[trouble])
        elif row.state == "unknown":  # in doubt twice; that it was taken is known to check_agreement
            assert row.attempts == 2
        else:
            assert (row.state, row.reason) == ("sent", f"250 2.0.0 taken for {address}")


def check_dots(dots: list[Dot], met: Mapping[Trouble | None, int]) -> int:
    """How many were taken twice: those whose answer never came the first time, and at most one for each connection on
    which answers did not fit."""
    taken = Counter(dot.recipient for dot in dots)
    twice = {address for address, count in taken.items() if count > 1}
    assert max(taken.values()) == 2
    assert {address for address in taken if trouble_of(address) is Trouble.DOUBT} <= twice
    assert len(twice) <= met[Trouble.DOUBT] + sum(met[trouble] for trouble in MISFITS)
    return len(twice)


async def suppressed(house: House) -> set[str]:
    async with house.database.connect() as conn:
        return set((await conn.execute(text("SELECT value FROM suppressed_addresses"))).scalars())

"""What sending costs: whole campaigns of the reference mail by `hearth worker`, every result committed.

- `dispatch`: messages a second from the launch until the campaign is finished, by a worker for each of two cores, which
  the sink and the database share with them, against aiosmtplib's `sendmail` of one constant message of the same size
  over as many connections into the same sink, nothing rendered or recorded; `dispatch-wire` against Postfix's
  smtp-source.
- `first-message`: seconds from the launch of a campaign to a million recipients (at scale 1) to the first message;
  `silence`: from a pause to the last message.
- `memory`: a worker's while it sends that campaign, against the most it may have; `memory-flat`: after half a minute of
  it against after a tenth of that.
- `scale-out`: two workers against one where each answer of the mail server takes 20 ms; `scale-cpu`: CPU of worker and
  database for one message with two workers against one, without that delay.

CPU for one message, by part, is printed before the table.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiosmtplib
from rich.console import Console
from sqlalchemy import text

import hearth
from bench.ground import mail_sink, settle_people, throwaway_house
from bench.harness import Result, main, take_turns
from bench.parts import Parts, parts_of_a_message
from bench.processes import cpu_seconds, family_cpu_seconds, memory, server_pid, slow_sink, workers
from bench.reference import CONTENT, compiled
from bench.render import Ours
from campaigns import store
from campaigns.halt import cancel, pause
from campaigns.launch import launch
from runtime.clock import utc_now
from runtime.errors import HearthError, Unavailable
from runtime.house import House

PEOPLE = 100_000  # at scale 1
MANY = 1_000_000  # of the large campaign
WORKERS = 2  # one a core, as the README says
CONNECTIONS = 50  # of each worker
SLOW_CONNECTIONS = 10  # of each worker, towards a server that takes DELAY seconds for each answer
DELAY = 0.02
ROUNDS = 3
MEMORY = 200.0  # MB
SILENCE = 2.0  # seconds
FIRST = 20.0  # seconds, for a million recipients
FIRST_LEAST = 2.0  # seconds, for however few
LONG = 30.0  # seconds of sending the large campaign at scale 1
EVERYBODY: dict[str, object] = {"all": []}
A_FIFTH = {"bucket": {"from": 0, "to": 1999}}
_PATIENCE = 900.0  # seconds for one campaign
_LOOK = 0.1  # seconds between two looks at its state


class Unfinished(HearthError):
    """The campaign did not reach everybody."""


@dataclass(frozen=True)
class Sent:
    """One campaign: messages, messages a second, microseconds of CPU a message."""

    number: int
    rate: float
    worker_cpu: float
    server_cpu: float


async def measure(scale: float) -> list[Result]:
    hearth.install()
    with mail_sink() as port:
        url = f"smtp://127.0.0.1:{port}?connections={CONNECTIONS}"
        async with _house_of(url, max(200, int(PEOPLE * scale))) as house:
            rates, both = await _both_cores(house, url, port)
            async with workers(house, 1, url) as pids:
                await _campaign(house, pids, A_FIFTH)
                alone = await _campaign(house, pids, A_FIFTH)
            scaled = await _scale_out(house)
        many = max(10_000, int(MANY * scale))
        async with _house_of(url, many) as house:
            large = await _large(house, url, many)
    _tell(await parts_of_a_message(), both, alone)
    one, two = (sent.worker_cpu + sent.server_cpu for sent in (alone, both))
    cpu = Result("scale-cpu", two, "µs CPU/message", "one worker", one, one / two, 0.8, 0.9)
    return [*rates, *large, cpu, scaled]


@asynccontextmanager
async def _house_of(url: str, count: int) -> AsyncIterator[House]:
    async with throwaway_house(url) as house:
        async with house.database.begin() as conn:
            await settle_people(conn, count)
        yield house


async def _both_cores(house: House, url: str, port: int) -> tuple[list[Result], Sent]:
    """The rates, and the last campaign."""
    data = Ours(compiled(), eight_bit=True).message(1)
    runs: list[Sent] = []

    async def ours() -> float:
        runs.append(await _campaign(house, pids))
        return runs[-1].rate

    async with workers(house, WORKERS, url) as pids:
        await ours()  # opens connections and prepares statements
        count = runs[0].number
        sides = [ours, lambda: _sendmail(port, data, count), lambda: _smtp_source(port, data, count)]
        rate, sendmail, source = await take_turns(sides, ROUNDS)
    results = [
        Result("dispatch", rate, "messages/s", "aiosmtplib sendmail", sendmail, rate / sendmail, 1.8, 3.0),
        Result("dispatch-wire", rate, "messages/s", "smtp-source", source, rate / source, 0.3, 0.7),
    ]
    return results, runs[-1]


async def _large(house: House, url: str, count: int) -> list[Result]:
    """One campaign to all `count`, sent for a while, then paused."""
    long = min(LONG, LONG * count / 200_000)
    async with workers(house, 1, url) as pids:
        launched_at = utc_now()
        campaign_id = await _launched(house, EVERYBODY)
        await _until(house, campaign_id, "SELECT true FROM messages WHERE campaign_id = :id AND state = 'sent' LIMIT 1")
        await asyncio.sleep(long / 10)
        soon = memory(pids[0])
        await asyncio.sleep(long * 9 / 10)
        later = memory(pids[0])
        async with house.database.begin() as conn:
            await pause(conn, campaign_id, now=utc_now())
        paused_at = utc_now()
        await asyncio.sleep(2 * SILENCE)
        async with house.database.begin() as conn:
            found = (await conn.execute(_SENT, {"id": campaign_id})).one()
            await cancel(conn, campaign_id, now=utc_now())
    first = (found.first - launched_at).total_seconds()
    silence = max(0.001, (found.last - paused_at).total_seconds())
    allowed = FIRST_LEAST + (FIRST - FIRST_LEAST) * count / 1_000_000
    return [
        Result("first-message", first * 1000, "ms", "at most", allowed * 1000, allowed / first, 1.0, 1.0),
        Result("silence", silence * 1000, "ms", "at most", SILENCE * 1000, SILENCE / silence, 1.0, 1.0),
        Result("memory", later, "MB", "at most", MEMORY, MEMORY / later, 1.0, 1.0),
        Result("memory-flat", later, "MB", "soon after its start", soon, soon / later, 0.8, 0.9),
    ]


async def _scale_out(house: House) -> Result:
    rates = []
    with slow_sink(DELAY) as port:
        url = f"smtp://127.0.0.1:{port}?connections={SLOW_CONNECTIONS}"
        for number in (1, 2):
            async with workers(house, number, url) as pids:
                await _campaign(house, pids, A_FIFTH)
                rates.append((await _campaign(house, pids, A_FIFTH)).rate)
    one, two = rates
    return Result("scale-out", two, "messages/s", "one worker, 20 ms", one, two / one, 1.8, 1.9)


async def _campaign(house: House, pids: Sequence[int], rule: object = EVERYBODY) -> Sent:
    server = await server_pid(house)
    before = sum(map(cpu_seconds, pids)), family_cpu_seconds(server)
    begun = time.perf_counter()
    campaign_id = await _launched(house, rule)
    await _until(house, campaign_id, "SELECT state = 'finished' FROM campaigns WHERE id = :id")
    seconds = time.perf_counter() - begun
    spent = sum(map(cpu_seconds, pids)) - before[0], family_cpu_seconds(server) - before[1]
    async with house.database.connect() as conn:
        found = (await conn.execute(_SENT, {"id": campaign_id})).one()
    if not found.audience or found.sent != found.audience:
        raise Unfinished(f"{found.sent} of {found.audience} messages were sent")
    worker, server_cpu = (each / found.sent * 1e6 for each in spent)
    return Sent(found.sent, found.sent / seconds, worker, server_cpu)


async def _launched(house: House, rule: object) -> int:
    body = {"name": "换新周", "channel": "email", "rule": rule, "content": CONTENT}
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, body, settings=house.settings, by=None)
        await launch(conn, campaign_id, settings=house.settings, now=utc_now())
    return campaign_id


async def _until(house: House, campaign_id: int, question: str) -> None:
    """Over one connection: what the looking itself takes is taken from the sender."""
    deadline = time.monotonic() + _PATIENCE
    async with house.database.connect(autocommit=True) as conn:
        while time.monotonic() < deadline:
            if await conn.scalar(text(question), {"id": campaign_id}):
                return
            await asyncio.sleep(_LOOK)
    raise Unfinished(f"the campaign did not get on within {_PATIENCE:g} s")


async def _sendmail(port: int, data: bytes, count: int) -> float:
    """Messages a second."""
    numbers = iter(range(count))

    async def connection() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for number in numbers:
                await client.sendmail("news@shop.example", [f"c{number}@example.com"], data)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WORKERS * CONNECTIONS):
            tasks.create_task(connection())
    return count / (time.perf_counter() - begun)


async def _smtp_source(port: int, data: bytes, count: int) -> float:
    """Messages a second."""
    program = shutil.which("smtp-source", path="/usr/sbin:/usr/bin")
    if program is None:
        raise Unavailable("smtp-source is not installed; it comes with Debian's package postfix")
    sessions = str(WORKERS * CONNECTIONS)
    command = [program, "-d", "-s", sessions, "-m", str(count), "-l", str(len(data)), f"127.0.0.1:{port}"]
    begun = time.perf_counter()
    await asyncio.to_thread(subprocess.run, command, check=True, stdin=subprocess.DEVNULL)
    return count / (time.perf_counter() - begun)


def _tell(parts: Parts, both: Sent, alone: Sent) -> None:
    rest = both.worker_cpu - parts.render - parts.headers - parts.smtp
    lines = [
        ("render", parts.render),
        ("headers, MIME parts", parts.headers),
        ("SMTP", parts.smtp),
        ("loading, recording, the rest of the workers", rest),
        ("database server", both.server_cpu),
        ("with one worker alone: worker, then the database server", alone.worker_cpu),
        ("", alone.server_cpu),
    ]
    console = Console(stderr=True)
    console.print("CPU for one message, µs:")
    for name, value in lines:
        console.print(f"{value:8,.0f}  {name}")


_SENT = text("""
    SELECT count(*) AS audience, count(*) FILTER (WHERE state = 'sent') AS sent, min(sent_at) AS first,
           max(sent_at) AS last
    FROM messages WHERE campaign_id = :id
""")


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))

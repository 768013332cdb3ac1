"""Row 21 of FAULTS.md: forged tokens in a flood, against the real web process: no row, no redirect, and who has a good
token is answered meanwhile.

Times are measured with HEARTH_SOAK=1 by wrk: what the process can take of good tokens, then half of that
beside twice as many forged ones.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, insert, select

from runtime.clock import utc_now
from runtime.database import Database
from runtime.signing import Signer
from tests.acceptance.hall import Hall
from tests.tracking.people_with_mail import make_messages, make_people
from tracking.ledger import MessageKey
from tracking.models import events, link_tables
from tracking.tokens import MessageUrls

SOAK = bool(os.environ.get("HEARTH_SOAK"))
SECRET = "a secret for tests of forged tokens"
FORGED = 2_000
PEOPLE = 20_000 if SOAK else 20
SECONDS = 10
CONNECTIONS = 64
P99_MS = 200.0
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Safari/537.36"
_WRK = """
local paths = {}
for line in io.lines(%(paths)r) do paths[#paths + 1] = line end
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at], {["User-Agent"] = %(agent)r})
end
if %(delay)d > 0 then delay = function() return %(delay)d end end
done = function(summary, latency)
  io.write(string.format("figures %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(99),
    summary.errors.status))
end
"""


@pytest.fixture
async def hall(tmp_path: Path, database_url: str) -> AsyncIterator[Hall]:
    made = Hall(tmp_path, {"HEARTH_DATABASE_URL": database_url, "HEARTH_SECRET_KEY": SECRET})
    made.start("web", "web", "--port", str(made.port))
    await made.answering()
    yield made
    await made.stop()


@pytest.fixture
async def own(db: Database) -> list[MessageUrls]:
    async with db.begin() as conn:
        keys = await make_messages(conn, await make_people(conn, PEOPLE), sent_at=utc_now() - timedelta(hours=1))
        await conn.execute(insert(link_tables), {"run_id": 1, "links": ["https://shop.example.com/air"]})
    return [MessageUrls(Signer(SECRET), "", key) for key in keys]


def forged(own: list[MessageUrls]) -> list[str]:
    """Tokens of another secret, of another purpose, changed ones, and noise."""
    foreign = [MessageUrls(Signer("another secret that is long enough"), "", key).open for key in _keys()]
    swapped = [f"/c/{each.open[3:]}" for each in own] + [f"/o/{each.clicks(1)[0][3:]}" for each in own]
    changed = [each.open[:-1] + ("A" if each.open[-1] != "A" else "B") for each in own]
    noise = [f"/{kind}/{secrets.token_urlsafe(12)}" for kind in "oc" for _ in range(100)]
    return foreign + swapped + changed + noise


def _keys() -> list[MessageKey]:
    return [MessageKey(person, 1) for person in range(1, 21)]


async def rows(db: Database) -> int:
    async with db.connect() as conn:
        return int(await conn.scalar(select(func.count()).select_from(events)) or 0)


async def test_a_flood_of_forged_tokens_writes_nothing_and_leads_nowhere(
    hall: Hall, db: Database, own: list[MessageUrls]
) -> None:
    paths = iter((forged(own) * FORGED)[:FORGED])
    answers: set[tuple[int, bool]] = set()
    async with httpx.AsyncClient(base_url=hall.base, timeout=60, headers={"User-Agent": AGENT}, trust_env=False) as web:

        async def flood() -> None:
            for path in paths:
                answer = await web.get(path)
                answers.add((answer.status_code, "location" in answer.headers))

        flooding = [asyncio.create_task(flood()) for _ in range(32)]
        good = [await web.get(each.open) for each in own[:20]]
        await asyncio.gather(*flooding)
        assert answers == {(404, False)}
        assert {answer.status_code for answer in good} == {200}
        assert await rows(db) == 20
        click = await web.get(own[0].clicks(1)[0])
    assert (click.status_code, click.headers["location"]) == (302, "https://shop.example.com/air")


@pytest.mark.skipif(not SOAK, reason="times are measured in the soak")
async def test_good_tokens_are_answered_in_time_beside_the_flood(
    hall: Hall, db: Database, own: list[MessageUrls], tmp_path: Path, figures: Callable[[str], None]
) -> None:
    good = [each.open for each in own]
    capacity, _, refused = await asyncio.to_thread(wrk, hall, tmp_path, "all", good)
    assert refused == 0
    before = await rows(db)
    delay = max(1, round(CONNECTIONS / (capacity / 2) * 1000))  # milliseconds between two requests of a connection
    many = round(2 * capacity * delay / 1000)
    flooding = asyncio.create_task(
        asyncio.to_thread(wrk, hall, tmp_path, "flood", forged(own), connections=many, delay=delay)
    )
    rate, p99, refused = await asyncio.to_thread(wrk, hall, tmp_path, "half", good, delay=delay)
    flood, _, not_found = await flooding
    figures(f"row 21: {capacity:,.0f}/s alone; beside {flood:,.0f} forged/s: {rate:,.0f}/s, p99 {p99:.0f} ms")
    assert refused == 0
    assert not_found > 0
    assert await rows(db) <= before + rate * SECONDS * 1.2
    assert p99 <= P99_MS


def wrk(
    hall: Hall, folder: Path, name: str, paths: list[str], *, connections: int = CONNECTIONS, delay: int = 0
) -> tuple[float, float, int]:
    """Requests a second, the slowest hundredth in milliseconds, answers that are errors."""
    listed, script = folder / f"{name}.paths", folder / f"{name}.lua"
    listed.write_text("\n".join(paths))
    script.write_text(_WRK % {"paths": str(listed), "agent": AGENT, "delay": delay})
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", str(script), hall.base]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"^figures (\d+) (\d+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    requests, microseconds, p99, errors = map(int, found.groups())
    return requests / microseconds * 1e6, p99 / 1000, errors

"""All at once in one installation: a campaign goes out, its worker is killed and its database stopped; people open,
click, unsubscribe, buy, and mails come back through the real doors; customers are merged and erased. Then
`hearth db recount` finds no difference, and the campaign's report is what a plain count of the events says.

At full size with HEARTH_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import smtplib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House, open_house
from runtime.postgres import Server
from runtime.settings import load_settings
from runtime.worker import release_stalled
from tests.acceptance import deliberate_sink
from tests.acceptance.counting_sink import CountingSink, counting_sink
from tests.acceptance.exact import PATIENCE, SOAK, Api, Print, ledger, settle
from tests.acceptance.hall import Hall, free_port
from tests.channels.returns.corpus import TO, dsn
from tests.waiting import until
from tracking.ledger import MessageKey
from tracking.return_paths import ReturnPaths
from tracking.tokens import MessageUrls

PEOPLE = 20_000 if SOAK else 1_200
CONNECTIONS = 4
AT_ONCE = 8  # visitors
LINKS = 2
PAIRS, ERASED = PEOPLE // 100, PEOPLE // 100
SECRET = "a secret for tests of all at once"
PLACE = "bounces.example.com"
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
SCANNER = "Barracuda Sentinel (EE)"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
CONTENT = {
    "subject": "Hello {{ customer.name }}",
    "html": '<p><a href="https://shop.example.com/air">Air</a> <a href="https://shop.example.com/tv">TV</a></p>',
}
# What a reader does, by the last digit of their id; the others do nothing.
DEEDS = {0: "open", 1: "open", 2: "click", 3: "click", 4: "scan", 5: "leave", 6: "bounce", 7: "buy"}
# Who answers within two seconds is taken for a machine.
_SENT = text("""
    SELECT customer_id, run_id, step FROM messages
    WHERE campaign_id = :id AND state = 'sent' AND sent_at < now() - interval '3 s'
""")
_COUNTED = text("""
    SELECT count(DISTINCT key) FILTER (WHERE kind IN ('opened', 'clicked') AND NOT machine) AS opened,
        count(DISTINCT key) FILTER (WHERE kind = 'clicked' AND NOT machine) AS clicked,
        count(DISTINCT key) FILTER (WHERE kind = 'opened' AND machine) AS machine_opened,
        count(DISTINCT key) FILTER (WHERE kind = 'clicked' AND machine) AS machine_clicked,
        count(DISTINCT key) FILTER (WHERE kind = 'unsubscribed') AS unsubscribed,
        count(DISTINCT key) FILTER (WHERE kind = 'bounced') AS bounced
    FROM (SELECT (customer_id, run_id, step) AS key, kind, machine FROM events WHERE campaign_id = :id) e
""")


@dataclass
class Town:
    """An installation, its database, and the people who answer."""

    hall: Hall
    api: Api
    house: House
    postgres: Server
    sink: CountingSink
    returns: int
    web: httpx.AsyncClient
    done: dict[MessageKey, str] = field(default_factory=dict)

    async def sent(self, campaign_id: int) -> list[MessageKey]:
        async with self.house.database.connect() as conn:
            return [MessageKey(*row) for row in await conn.execute(_SENT, {"id": campaign_id})]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[CountingSink]:
    with counting_sink(tmp_path, deliberate_sink.__name__) as running:
        yield running


@pytest.fixture
async def town(tmp_path: Path, sink: CountingSink) -> AsyncIterator[Town]:
    returns = free_port()
    settings = {
        "HEARTH_SECRET_KEY": SECRET,
        "HEARTH_SMTP_URL": f"smtp://127.0.0.1:{sink.port}?connections={CONNECTIONS}",
        "HEARTH_RETURN_PATH": PLACE,
        "HEARTH_RETURNS_LISTEN": f"lmtp://127.0.0.1:{returns}",
    }
    hall = Hall(tmp_path, settings)
    postgres = Server(tmp_path / "var")
    try:
        api = Api(hall)
        hall.start("web", "web", "--port", str(hall.port))
        hall.start("worker", "worker")
        hall.start("returns", "returns", "serve")
        await hall.answering()
        environ = {**hall.environ, "HEARTH_DATABASE_URL": postgres.url}
        async with (
            open_house(load_settings(environ, env_file=tmp_path / "none")) as house,
            httpx.AsyncClient(trust_env=False, timeout=60) as web,
        ):
            yield Town(hall, api, house, postgres, sink, returns, web)
    finally:
        await hall.stop()


async def test_after_all_of_it_a_recount_finds_no_difference(town: Town, figures: Print) -> None:
    async with town.house.database.begin() as conn:
        await settle(conn, PEOPLE)
    campaign_id = await town.api.launched(rule={"all": []}, content=CONTENT)
    answering = asyncio.create_task(answered(town, campaign_id))
    await reaches(town, 1)
    town.hall.kill("worker")
    await release_stalled(town.house, 0.0)  # as happens by itself after a while
    town.hall.start("worker", "worker")
    await reaches(town, 2)
    stop(town.postgres)
    await reaches(town, 3)
    await until(lambda: len(town.done) >= 2 * PAIRS + ERASED, PATIENCE)
    merged = await merge(town)
    erased = await erase(town)
    await town.api.reached(campaign_id, "finished")
    await asyncio.wait_for(answering, PATIENCE)

    differences = town.hall.hearth("db", "recount")
    counts = (await town.api.get(f"/campaigns/{campaign_id}"))["counts"]
    async with town.house.database.connect() as conn:
        counted = dict((await conn.execute(_COUNTED, {"id": campaign_id})).one()._mapping)
        orders = await conn.scalar(text("SELECT count(*) FROM orders"))
    taken = len({dot.recipient for dot in town.sink.look()})
    deeds = Counter(town.done.values())
    figures(
        f"all at once: {taken:,} mails, {dict(deeds)}, {merged} merged, {erased} erased; recount: {differences}; "
        f"report: {counted}"
    )
    assert differences["total"] == 0
    assert {name: counts[name] for name in counted} == counted
    assert counts["sent"] == counts["audience"] == PEOPLE - erased
    assert taken == PEOPLE
    assert min(counted.values()) > 0
    assert 0 < orders <= deeds["buy"]


async def reaches(town: Town, quarters: int) -> None:
    await until(lambda: town.sink.count() >= PEOPLE * quarters // 4, PATIENCE)


def stop(postgres: Server) -> None:
    """As by `pg_ctl stop -m immediate`; who needs it starts it again."""
    os.kill(int((postgres.cluster.data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


async def answered(town: Town, campaign_id: int) -> None:
    """Everybody who was written to has answered in their way, AT_ONCE of them at a time."""
    seen: set[MessageKey] = set()
    while True:
        with suppress(Unavailable):
            fresh = [key for key in await town.sent(campaign_id) if key not in seen]
            seen.update(fresh)
            turn = iter(fresh)
            await asyncio.gather(*(visitor(town, turn) for _ in range(AT_ONCE)))
            if not fresh and (await ledger(town.house.database, campaign_id)).open == 0 and len(seen) == PEOPLE:
                return
        await asyncio.sleep(0.2)


async def visitor(town: Town, turn: Iterator[MessageKey]) -> None:
    for key in turn:
        deed = DEEDS.get(key.customer_id % 10, "nothing")
        await act(town, key, deed)
        town.done[key] = deed


async def act(town: Town, key: MessageKey, deed: str) -> None:
    urls = MessageUrls(town.house.signer, town.hall.base, key)
    click = urls.clicks(LINKS)[key.customer_id % LINKS]
    agent = SCANNER if deed == "scan" else BROWSER
    if deed in ("open", "click", "buy", "scan"):
        await fetched(town.web, "GET", urls.open, agent)
    if deed in ("click", "buy", "scan"):
        await fetched(town.web, "GET", click, agent)
    if deed == "leave":
        for _ in range(2):
            await fetched(town.web, "POST", urls.unsubscribe, agent, data=ONE_CLICK)
    if deed == "bounce":
        await until(lambda: asyncio.to_thread(came_back, town, key), PATIENCE)
    if deed == "buy":
        await until(lambda: bought(town, key), PATIENCE)


async def fetched(web: httpx.AsyncClient, method: str, url: str, agent: str, **given: dict[str, str]) -> None:
    """Asked again until there is an answer: the database may be away."""

    async def there() -> bool:
        with suppress(httpx.TransportError):
            answer = await web.request(method, url, headers={"User-Agent": agent}, **given)
            assert answer.status_code < 400 or answer.status_code == 503, f"{url}: {answer.status_code}"
            return answer.status_code < 400
        return False

    await until(there, PATIENCE)


def came_back(town: Town, key: MessageKey) -> bool:
    """Whether the report of the failure was taken; a mail server whose answer is 4xx tries again."""
    address = str(ReturnPaths(town.house.signer, PLACE).address(key))
    mail = dsn("5.1.1", f"550 5.1.1 no such user {key.customer_id}").replace(TO.encode(), address.encode())
    failures = (ConnectionError, smtplib.SMTPServerDisconnected, smtplib.SMTPResponseException)
    with suppress(*failures), smtplib.LMTP("127.0.0.1", town.returns, timeout=60) as client:
        return not client.sendmail("", [address], mail)
    return False


async def bought(town: Town, key: MessageKey) -> bool:
    order = {
        "number": f"o{key.customer_id}",
        "customer": {"external_id": f"p{key.customer_id}"},
        "platform": "shop",
        "status": "completed",
        "ordered_at": utc_now().isoformat(),
        "amount": "100.00",
    }
    with suppress(httpx.TransportError):
        answer = await town.api.client.post("/orders", json=order)
        assert answer.is_success or answer.status_code == 503, answer.text
        return answer.is_success
    return False


async def merge(town: Town) -> int:
    """People who have answered become one with others who have."""
    people = [key.customer_id for key in list(town.done)[: 2 * PAIRS]]
    for keep, lose in zip(people[::2], people[1::2], strict=False):
        await town.api.post(f"/customers/{keep}/merge", {"lose": lose})
    return len(people) // 2


async def erase(town: Town) -> int:
    people = [key.customer_id for key in list(town.done)[2 * PAIRS : 2 * PAIRS + ERASED]]
    for person in people:
        answer = await town.api.client.delete(f"/customers/{person}")
        assert answer.status_code == 204, answer.text
    return len(people)

"""Row 22 of FAULTS.md against the real web process: scanners, under a browser's name, GET and HEAD every link of the
mails of half the people, while the others read theirs; then everybody unsubscribes with one click, twice at once.

At full size with HEARTH_SOAK=1.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from customers.models import activity, consents, standing_consents
from runtime.database import Database
from runtime.signing import Signer
from tests.acceptance.hall import Hall, web_hall
from tests.tracking.people_with_mail import make_mailed
from tracking.ledger import MessageKey
from tracking.models import events, messages
from tracking.recount import recount
from tracking.tokens import MessageUrls

SOAK = bool(os.environ.get("HEARTH_SOAK"))
PEOPLE = 2_000 if SOAK else 40
AT_ONCE = 32  # visitors
LINKS = [f"https://shop.example.com/offers/{number}" for number in range(8)]
SECRET = "a secret for tests of scanners"
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
async def hall(tmp_path: Path, database_url: str) -> AsyncIterator[Hall]:
    async with web_hall(tmp_path, database_url, SECRET) as running:
        yield running


@pytest.fixture
async def keys(db: Database) -> list[MessageKey]:
    async with db.begin() as conn:
        made = await make_mailed(conn, PEOPLE, LINKS)
        await recount(conn)  # the messages were made by hand
    return made


async def test_scanners_are_no_readers_and_two_one_clicks_are_one(
    hall: Hall, db: Database, keys: list[MessageKey], figures: Callable[[str], None]
) -> None:
    scanned, read = keys[: PEOPLE // 2], keys[PEOPLE // 2 :]
    async with httpx.AsyncClient(base_url=hall.base, timeout=60, headers={"User-Agent": AGENT}, trust_env=False) as web:
        await at_once([*(scan(web, key) for key in scanned), *(look(web, key) for key in read)])
        await nothing_but_reading(db, len(read))
        await at_once([post_twice(web, key) for key in keys])
    async with db.begin() as conn:
        for table in (consents, standing_consents):
            assert await conn.scalar(select(func.count()).where(table.c.granted.is_(False))) == PEOPLE
        assert await conn.scalar(select(func.count()).where(events.c.kind == "unsubscribed")) == PEOPLE
        differences = await recount(conn)
    assert differences.total == 0
    figures(
        f"row 22: {len(scanned):,} mails scanned beside {len(read):,} read: 0 unsubscribes, 0 human clicks of scanners"
    )


async def nothing_but_reading(db: Database, readers: int) -> None:
    """Each reader opened and clicked once; of scanners' doing nothing counts."""
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).where(messages.c.unsubscribed_at.is_not(None))) == 0
        assert await conn.scalar(select(func.sum(messages.c.clicks))) == readers
        assert await conn.scalar(select(func.sum(messages.c.opens))) == readers
        assert await conn.scalar(select(func.count()).where(activity.c.last_clicked_at.is_not(None))) == readers
        assert await conn.scalar(select(func.count()).where(messages.c.machine_clicked_at.is_not(None))) == PEOPLE // 2


def urls(key: MessageKey) -> MessageUrls:
    return MessageUrls(Signer(SECRET), "", key)


async def scan(web: httpx.AsyncClient, key: MessageKey) -> None:
    own, rng = urls(key), random.Random(key.customer_id)
    addresses = [own.open, own.unsubscribe, *own.clicks(len(LINKS))]
    rng.shuffle(addresses)
    for address in addresses:
        for method in ("HEAD", "GET"):
            assert (await web.request(method, address)).status_code < 400


async def look(web: httpx.AsyncClient, key: MessageKey) -> None:
    own = urls(key)
    assert (await web.get(own.open)).status_code == 200
    clicked = await web.get(own.clicks(len(LINKS))[key.customer_id % len(LINKS)])
    assert clicked.headers["location"] == LINKS[key.customer_id % len(LINKS)]


async def post_twice(web: httpx.AsyncClient, key: MessageKey) -> None:
    answers = await asyncio.gather(*(web.post(urls(key).unsubscribe, data=ONE_CLICK) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]


async def at_once(visits: Sequence[Awaitable[None]]) -> None:
    """All visits in any order, AT_ONCE of them at a time."""
    waiting = list(visits)
    random.Random(22).shuffle(waiting)
    turn = iter(waiting)

    async def visitor() -> None:
        for visit in turn:
            await visit

    await asyncio.gather(*(visitor() for _ in range(AT_ONCE)))

"""Somebody unsubscribes while the database is stopped: the wish is answered, waits on the disk, and holds within
seconds of the database's return, or of that of the web process that took it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from customers.models import consents, standing_consents
from runtime.clock import utc_now
from runtime.database import Database
from runtime.signing import Signer
from tests.acceptance.hall import Hall
from tests.acceptance.servers import POSTGRES_15, Postgres15, cluster_15
from tests.tracking.people_with_mail import make_messages, make_people
from tests.waiting import until
from tracking.models import messages
from tracking.tokens import MessageUrls

SECRET = "a secret for tests of wishes that wait"
IN_FORCE = 5.0  # seconds after the database is back
PATIENCE = 60.0
ONE_CLICK = {"List-Unsubscribe": "One-Click"}

pytestmark = pytest.mark.skipif(not POSTGRES_15.exists(), reason="needs Debian's postgresql-15")


@pytest.fixture
def cluster() -> Iterator[Postgres15]:
    with cluster_15() as running:
        yield running


@pytest.fixture
async def hall(tmp_path: Path, cluster: Postgres15) -> AsyncIterator[Hall]:
    made = Hall(tmp_path, {"HEARTH_DATABASE_URL": cluster.url, "HEARTH_SECRET_KEY": SECRET})
    made.hearth("db", "upgrade")
    made.start("web", "web", "--port", str(made.port))
    await made.answering()
    yield made
    await made.stop()


@asynccontextmanager
async def opened(cluster: Postgres15) -> AsyncIterator[Database]:
    database = Database(cluster.url)
    yield database
    await database.close()


async def written_to(cluster: Postgres15, count: int) -> list[MessageUrls]:
    async with opened(cluster) as database, database.begin() as conn:
        people = await make_people(conn, count, email="somebody@example.com")
        keys = await make_messages(conn, people, sent_at=utc_now() - timedelta(hours=1))
    return [MessageUrls(Signer(SECRET), "", key) for key in keys]


async def gone(cluster: Postgres15) -> int:
    """How many messages their people unsubscribed by, all of whom stand so in the ledger."""
    async with opened(cluster) as database, database.one_snapshot() as conn:
        found = int(await conn.scalar(select(func.count()).where(messages.c.unsubscribed_at.is_not(None))) or 0)
        stands = select(func.count()).where(standing_consents.c.granted.is_(False))
        assert await conn.scalar(stands) == found
        assert await conn.scalar(select(func.count()).select_from(consents)) == found
    return found


async def counted(cluster: Postgres15, count: int) -> bool:
    return await gone(cluster) == count


async def test_a_wish_outlives_the_database_and_the_process_that_took_it(hall: Hall, cluster: Postgres15) -> None:
    first, second, third, bystander = await written_to(cluster, 4)
    async with httpx.AsyncClient(base_url=hall.base, timeout=30, trust_env=False) as web:
        assert (await web.post(third.unsubscribe, data=ONE_CLICK)).status_code == 200
        cluster.stop()
        for _ in range(2):
            assert (await web.post(first.unsubscribe, data=ONE_CLICK)).status_code == 200
        answer = await web.post(second.unsubscribe, data={"mail": "off"}, headers={"Accept-Language": "zh"})
        assert (answer.status_code, "已记下" in answer.text) == (200, True)
        for path in (bystander.unsubscribe, bystander.view):
            looked = await web.get(path)
            assert (looked.status_code, looked.headers["retry-after"]) == (503, "5")
        saved = await web.post(bystander.unsubscribe, data={"mail": "wishes"})
        assert (saved.status_code, saved.headers["retry-after"]) == (503, "5")
        forged = second.unsubscribe[:-3] + "AAA"
        assert (await web.post(forged, data=ONE_CLICK)).status_code == 404
        cluster.start()
        back = time.monotonic()
        await until(lambda: counted(cluster, 3), PATIENCE)
        assert time.monotonic() - back <= IN_FORCE
        assert "unsubscribed" not in (await web.get(bystander.unsubscribe)).text
        with cluster.frozen():
            answer = await web.post(bystander.unsubscribe, data=ONE_CLICK)
            assert (answer.status_code, "kept" in answer.text) == (200, True)
            hall.kill("web")
    hall.start("web", "web", "--port", str(hall.port))
    await hall.answering()
    await until(lambda: counted(cluster, 4), PATIENCE)

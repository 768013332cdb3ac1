"""A mail server with a will of its own, people to write to, and a worker to do it."""

from __future__ import annotations

import asyncio
import dataclasses
import email
import email.policy
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import store
from campaigns.launch import launch
from campaigns.report import campaign_record
from customers.models import activity, contact_addresses, customers, standing_consents
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.house import House
from runtime.text import fold
from runtime.worker import run_worker
from tests.waiting import until

Answer = str | None


@dataclass
class Sink:
    """Takes mails over TCP. `at_rcpt` and `at_data` give an answer to an address, None for 250; ConnectionAbortedError
    from the latter closes the connection without an answer. `tried` is every mail as it came, `raw` those taken."""

    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    at_rcpt: Callable[[str], Answer] = lambda address: None
    at_data: Callable[[str], Answer] = lambda address: None
    port: int = 0
    times: list[float] = field(default_factory=list)  # monotonic, of each mail taken
    tried: list[bytes] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        return [address for address, _ in self.mails]

    @property
    def ids(self) -> list[str]:
        return [str(mail["Message-ID"]) for _, mail in self.mails]

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.at_rcpt(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        [address] = envelope.rcpt_tos
        raw = envelope.original_content or b""
        self.tried.append(raw)
        try:
            answer = self.at_data(address)
        except ConnectionAbortedError:
            server.transport.abort()
            raise
        if answer is None:
            mail = email.message_from_bytes(raw, policy=email.policy.default)
            self.raw.append(raw)
            self.mails.append((address, mail))
            self.times.append(time.monotonic())
        return answer or f"250 2.0.0 queued as {len(self.mails)}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def add_people(conn: AsyncConnection, count: int, *, consent: bool = True, first: int = 1) -> list[int]:
    """Customers `Person 1` … with an address each and, by default, consent."""
    rows = [
        {
            "external_id": f"p{number}",
            "name": f"Person {number}",
            "name_folded": fold(f"Person {number}"),
            "email": f"p{number}@example.com",
            "email_folded": f"p{number}@example.com",
            "city": "西安",
            "city_folded": "西安",
        }
        for number in range(first, first + count)
    ]
    ids = list(
        (await conn.execute(insert(customers).returning(customers.c.id, sort_by_parameter_order=True), rows)).scalars()
    )
    await conn.execute(insert(activity), [{"customer_id": customer_id} for customer_id in ids])
    addresses = [
        {"customer_id": customer_id, "kind": "email", "value": row["email"], "is_primary": True}
        for customer_id, row in zip(ids, rows, strict=True)
    ]
    await conn.execute(insert(contact_addresses), addresses)
    if consent:
        await conn.execute(insert(standing_consents), [standing(customer_id) for customer_id in ids])
    return ids


def standing(customer_id: int, *, granted: bool = True) -> dict[str, object]:
    """A row of the standing consents."""
    words = {"channel": "email", "purpose": "marketing", "source": "test", "source_folded": "test"}
    return {"customer_id": customer_id, "granted": granted, "at": utc_now(), **words}


async def launched(house: House, **changes: object) -> int:
    """A campaign that was created and launched now; its id."""
    async with house.database.begin() as conn:
        campaign_id = await store.create_campaign(conn, body(**changes), settings=house.settings, by="me")
        await launch(conn, campaign_id, settings=house.settings, now=utc_now())
    return campaign_id


async def record(house: House, campaign_id: int) -> dict[str, Any]:
    """The campaign as the API shows it."""
    async with house.database.connect() as conn:
        return await campaign_record(conn, campaign_id)


@asynccontextmanager
async def working(house: House) -> AsyncIterator[None]:
    """A worker runs for the duration of the block."""
    own = dataclasses.replace(house, stopping=asyncio.Event())
    worker = asyncio.create_task(run_worker(own, concurrency=4))
    try:
        yield
        assert not worker.done()
    finally:
        own.stopping.set()
        await worker


async def work_off(house: House, *, seconds: float = 30.0, future: bool = False) -> None:
    """Run a worker until nothing is due any more (`future`: nor later)."""
    async with working(house):
        await until(lambda: _idle(house, future), seconds)


async def finished(house: House, campaign_id: int, seconds: float = 60.0) -> dict[str, Any]:
    """The record of the campaign, once it is finished; a database that is away meanwhile is asked again."""

    async def over() -> bool:
        try:
            return bool((await record(house, campaign_id))["state"] == "finished")
        except Unavailable:
            return False

    await until(over, seconds)
    return await record(house, campaign_id)


async def _idle(house: House, future: bool) -> bool:
    due = "" if future else "AND (scheduled_at IS NULL OR scheduled_at <= now())"
    statement = f"SELECT NOT EXISTS (SELECT FROM procrastinate_jobs WHERE status = 'doing' OR (status = 'todo' {due}))"
    async with house.database.connect() as conn:
        return bool(await conn.scalar(text(statement)))


def links_of(mail: EmailMessage) -> list[str]:
    """The addresses in a mail's HTML."""
    body = mail.get_body(("html",))
    assert body is not None
    return re.findall(r'(?:href|src)="([^"]+)"', body.get_content())


EVERYBODY = {"all": []}
CONTENT = {
    "subject": "Hello {{ customer.name }}",
    "html": "<html><body><p>Dear {{ customer.name }}</p>"
    "<a href='https://shop.example/p?c={{ customer.external_id }}'>Look</a></body></html>",
}


def body(**changes: object) -> dict[str, object]:
    """A campaign to everybody."""
    return {"name": "Spring", "channel": "email", "rule": EVERYBODY, "content": CONTENT, **changes}

"""The door for what comes back: a real SMTP and LMTP conversation, committed before its 250."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from smtplib import LMTP, SMTP, SMTPRecipientsRefused, SMTPResponseException

import pytest
from sqlalchemy import func, select

from channels.email.returns.listener import listening
from customers.models import suppressed_addresses
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.signing import Signer
from tests.channels.returns.corpus import arf, dsn, plain
from tests.tracking.people_with_mail import make_messages, make_people, message
from tracking.ledger import MessageKey
from tracking.models import events
from tracking.return_desk import ReturnDesk
from tracking.return_paths import ReturnPaths

PATHS = ReturnPaths(Signer("a secret of the tests"), "bounces.example.com")
FORGED = ReturnPaths(Signer("a secret of somebody else"), "bounces.example.com")
NOBODY = dsn("5.1.1", "550 5.1.1 no such user")


@asynccontextmanager
async def door(db: Database, *, lmtp: bool = False) -> AsyncIterator[int]:
    desk = ReturnDesk(db, PATHS)

    async def take(raw: bytes, recipient: str) -> None:
        await desk.take(raw, recipient)

    async with listening("127.0.0.1", 0, desk.knows, take, lmtp=lmtp) as port:
        yield port
    await desk.close()


async def send(port: int, to: str, raw: bytes, kind: Callable[..., SMTP] = SMTP) -> None:
    def work() -> None:
        with kind("127.0.0.1", port) as client:
            client.sendmail("", [to], raw)

    await asyncio.to_thread(work)


async def people(db: Database, count: int) -> list[MessageKey]:
    async with db.begin() as conn:
        ids = await make_people(conn, count)
        return [(await make_messages(conn, [each], address=f"{each}@nowhere.example"))[0] for each in ids]


async def state(db: Database, key: MessageKey) -> str:
    async with db.connect() as conn:
        return str((await message(conn, key)).state)


async def suppressed(db: Database) -> list[str]:
    async with db.connect() as conn:
        return sorted((await conn.execute(select(suppressed_addresses.c.value))).scalars())


def _complaint_by(paths: ReturnPaths, key: MessageKey) -> bytes:
    return arf().replace(b"b-xyz567@bounces.example.com", paths.address(key).encode())


@pytest.mark.parametrize("lmtp", [False, True])
async def test_a_bounce_is_written_when_it_is_answered(db: Database, lmtp: bool) -> None:
    key, other = await people(db, 2)
    async with door(db, lmtp=lmtp) as port:
        await send(port, PATHS.address(key).upper(), NOBODY, LMTP if lmtp else SMTP)
        assert await state(db, key) == "bounced"
        await send(port, PATHS.address(key), NOBODY, LMTP if lmtp else SMTP)
    assert await state(db, other) == "sent"
    assert await suppressed(db) == [f"{key.customer_id}@nowhere.example"]
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(events)) == 1


async def test_a_forged_return_path_is_refused_and_suppresses_nobody(db: Database) -> None:
    [key] = await people(db, 1)
    async with door(db) as port:
        for to in (
            FORGED.address(key),
            "b-abc@bounces.example.com",
            "somebody@bounces.example.com",
            "abuse@example.com",
        ):
            with pytest.raises(SMTPRecipientsRefused):
                await send(port, to, NOBODY)
        await send(port, "postmaster@bounces.example.com", NOBODY)  # names nobody of ours
        await send(port, "abuse@bounces.example.com", _complaint_by(FORGED, key))
    assert await state(db, key) == "sent"
    assert await suppressed(db) == []


async def test_a_complaint_is_known_by_the_return_path_within(db: Database) -> None:
    key, other = await people(db, 2)
    report = _complaint_by(PATHS, key)
    async with door(db) as port:
        await send(port, "fbl@bounces.example.com", report)
    async with db.connect() as conn:
        assert (await message(conn, key)).complained_at is not None
        assert (await message(conn, other)).complained_at is None


async def test_automatic_answers_and_delays_change_nothing(db: Database) -> None:
    [key] = await people(db, 1)
    async with door(db) as port:
        await send(port, PATHS.address(key), plain("a@b.example", "Out of office", "away"))
        await send(port, PATHS.address(key), dsn("4.4.1", "450 busy", action="delayed"))
    assert await state(db, key) == "sent"
    async with db.connect() as conn:
        assert not await conn.scalar(select(func.count()).select_from(events))


async def test_many_at_once_share_commits_and_all_are_written(db: Database) -> None:
    keys = await people(db, 30)
    async with door(db) as port:
        await asyncio.gather(*(send(port, PATHS.address(key), NOBODY) for key in keys))
    assert {await state(db, key) for key in keys} == {"bounced"}


async def test_with_the_database_away_the_other_side_tries_again() -> None:
    async def away(raw: bytes, recipient: str) -> None:
        raise Unavailable("the database is away")

    async with listening("127.0.0.1", 0, lambda address: True, away) as port:
        with pytest.raises(SMTPResponseException) as refused:
            await send(port, "b-x@bounces.example.com", NOBODY)
    assert refused.value.smtp_code == 451

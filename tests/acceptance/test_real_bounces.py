"""A real Postfix bounces, and each bounce lands on the right person with the right class."""

from __future__ import annotations

import asyncio
import os

import pytest
from sqlalchemy import select

from channels.contract import Common, Personal
from channels.email.channel import EmailChannel
from channels.email.config import parse_smtp_url
from channels.email.returns.listener import listening
from channels.email.returns.mailbox_config import parse_mailbox_url
from runtime.database import Database
from runtime.signing import Signer
from tests.acceptance.dovecot import available as dovecot_available
from tests.acceptance.dovecot import dovecot
from tests.acceptance.postfix import DOMAIN, FULL, REFUSED, RETURNS, available, postfix
from tests.tracking.people_with_mail import SENT_AT, make_messages, make_people
from tests.waiting import until
from tracking.ledger import MessageKey
from tracking.models import events
from tracking.return_desk import ReturnDesk
from tracking.return_mailbox import MailboxReader
from tracking.return_paths import ReturnPaths

PATHS = ReturnPaths(Signer("a secret of the tests"), RETURNS)
NOBODY, GONE = f"nobody@{DOMAIN}", f"GONE.Person@{DOMAIN}"
CLASSES = {NOBODY: "hard", GONE: "hard", FULL: "full", REFUSED: "policy"}

pytestmark = pytest.mark.skipif(not available() or os.geteuid() != 0, reason="needs Debian's Postfix, and root")


async def test_each_lands_on_the_right_person_with_the_right_class(db: Database) -> None:
    keys = await _people(db)
    desk = ReturnDesk(db, PATHS)

    async def take(raw: bytes, recipient: str) -> None:
        await desk.take(raw, recipient)

    async with listening("127.0.0.1", 0, desk.knows, take) as returns:
        with postfix(returns) as port:
            await _send(port, keys)

            async def all_are_back() -> bool:
                return len(await _classes(db)) == len(keys)

            await until(all_are_back, 60)
    await desk.close()
    assert await _classes(db) == {keys[address]: kind for address, kind in CLASSES.items()}


@pytest.mark.skipif(not dovecot_available(), reason="needs Debian's dovecot-imapd")
async def test_so_it_does_by_way_of_a_mailbox(db: Database) -> None:
    keys = await _people(db)
    desk = ReturnDesk(db, PATHS)
    with dovecot() as imap:
        box = imap.box("returns")
        reader = MailboxReader(db, desk, parse_mailbox_url(box.url()), asyncio.Event())
        with postfix(box.folder) as port:
            await _send(port, keys)
            await until(lambda: box.held() == len(keys), 60)
        assert await reader.visit() == len(keys)
    await desk.close()
    assert await _classes(db) == {keys[address]: kind for address, kind in CLASSES.items()}


async def _people(db: Database) -> dict[str, MessageKey]:
    async with db.begin() as conn:
        people = await make_people(conn, len(CLASSES))
        return {
            address: (await make_messages(conn, [person], address=address))[0]
            for address, person in zip(CLASSES, people, strict=True)
        }


async def _send(port: int, keys: dict[str, MessageKey]) -> None:
    channel = EmailChannel()
    composer = channel.composer(Common(sender="Shop <shop@example.com>"))
    async with channel.open(parse_smtp_url(f"smtp://127.0.0.1:{port}")) as sender:
        for number, (address, key) in enumerate(keys.items()):
            mail = Personal(f"m{number}", address, "Air conditioners", SENT_AT, return_to=PATHS.address(key))
            assert (await sender.send(composer.compose(mail))).accepted


async def _classes(db: Database) -> dict[MessageKey, str]:
    row = events.c
    async with db.connect() as conn:
        found = await conn.execute(
            select(row.customer_id, row.run_id, row.step, row.attributes).where(row.kind == "bounced")
        )
        return {MessageKey(*each[:3]): each.attributes["class"] for each in found}

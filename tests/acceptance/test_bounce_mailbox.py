"""A mailbox of bounces on a real Dovecot: each mail is read once, whatever happens between; trouble is told."""

from __future__ import annotations

import asyncio
import logging
import re
import smtplib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from channels.email.returns.mailbox import READ_OF_A_MAIL, MailboxError, open_mailbox
from channels.email.returns.mailbox_config import MailboxConfig, parse_mailbox_url
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from runtime.settings import BadSetting
from runtime.signing import Signer
from tests.acceptance.dovecot import Box, Dovecot, available, dovecot
from tests.acceptance.hall import free_port
from tests.channels.returns.corpus import TO, dsn
from tests.tracking.people_with_mail import make_messages, make_people
from tests.waiting import until
from tracking.ledger import MessageKey
from tracking.models import events, return_mailboxes, stray_returns
from tracking.return_desk import ReturnDesk
from tracking.return_doors import read_mailbox, serve
from tracking.return_mailbox import MailboxReader, keep_reading
from tracking.return_paths import ReturnPaths

pytestmark = pytest.mark.skipif(not available(), reason="needs Debian's dovecot-imapd")
PATHS = ReturnPaths(Signer("a secret of the tests"), "bounces.example.com")


@pytest.fixture(scope="module")
def imap() -> Iterator[Dovecot]:
    with dovecot() as found:
        yield found


@pytest.fixture
def box(imap: Dovecot, request: pytest.FixtureRequest) -> Box:
    return imap.box(re.sub(r"\W", "_", request.node.name.lower()))


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[ReturnDesk]:
    found = ReturnDesk(db, PATHS)
    yield found
    await found.close()


@pytest.fixture
async def keys(db: Database) -> list[MessageKey]:
    async with db.begin() as conn:
        people = await make_people(conn, 30)
        return [(await make_messages(conn, [each], address=f"{each}@nowhere.example"))[0] for each in people]


def bounce(key: MessageKey) -> bytes:
    """Each with a Message-ID of its own, as it stands in the header of a mail that a mailbox got."""
    return dsn("5.1.1", f"550 5.1.1 no such user {key.customer_id}").replace(TO.encode(), PATHS.address(key).encode())


def reader(db: Database, desk: ReturnDesk, box: Box, options: str = "", *, tls: bool = True) -> MailboxReader:
    return MailboxReader(db, desk, parse_mailbox_url(box.url(options, tls=tls)), asyncio.Event())


async def bounced(db: Database) -> int:
    async with db.connect() as conn:
        return await conn.scalar(select(func.count()).select_from(events)) or 0


@pytest.mark.parametrize("tls", [True, False])
async def test_each_mail_is_read_once(
    db: Database, desk: ReturnDesk, box: Box, keys: list[MessageKey], tls: bool
) -> None:
    box.deliver(*map(bounce, keys[:25]), b"Subject: hello\r\n\r\nno message of ours", b"x" * (3 * READ_OF_A_MAIL))
    ours = reader(db, desk, box, tls=tls)
    assert await ours.visit() == 27
    assert await bounced(db) == 25
    assert await ours.visit() == 0
    box.deliver(bounce(keys[25]))
    assert await reader(db, desk, box, tls=tls).visit() == 1  # a process that was started again
    assert await bounced(db) == 26
    async with db.connect() as conn:
        strays = (await conn.execute(select(stray_returns.c.kind, stray_returns.c.door))).all()
        state = (await conn.execute(select(return_mailboxes))).one()
    assert sorted(map(tuple, strays)) == [("reply", "imap"), ("reply", "imap")]
    assert (state.read, state.trouble, state.held_by) == (28, None, None)
    assert "p/w:1" not in state.name


async def test_a_mailbox_that_was_made_anew_is_not_read_again(
    db: Database, desk: ReturnDesk, box: Box, keys: list[MessageKey]
) -> None:
    ours = reader(db, desk, box)
    box.deliver(*map(bounce, keys[:3]))
    assert await ours.visit() == 3
    box.begin_anew()
    box.deliver(bounce(keys[3]))
    assert await ours.visit() == 1
    assert await bounced(db) == 4


async def test_what_was_read_goes_to_the_folder_that_is_named(
    db: Database, desk: ReturnDesk, box: Box, keys: list[MessageKey]
) -> None:
    box.deliver(*map(bounce, keys[:12]))
    assert await reader(db, desk, box, "&move=Done%20mails").visit() == 12
    assert (box.held(), box.held(".Done mails")) == (0, 12)


async def test_what_could_not_be_written_is_read_again(
    db: Database, desk: ReturnDesk, box: Box, keys: list[MessageKey]
) -> None:
    box.deliver(*map(bounce, keys[:12]))
    away = Database(f"postgresql://hearth@127.0.0.1:{free_port()}/away")
    broken = ReturnDesk(away, PATHS)
    with pytest.raises(Unavailable):
        await reader(db, broken, box).visit()
    await broken.close()
    await away.close()
    assert await bounced(db) == 0
    assert await reader(db, desk, box).visit() == 12
    assert await bounced(db) == 12


async def test_one_process_reads_a_mailbox_at_a_time(
    db: Database, desk: ReturnDesk, box: Box, keys: list[MessageKey]
) -> None:
    box.deliver(*map(bounce, keys[:12]))
    counts = await asyncio.gather(*(reader(db, desk, box).visit() for _ in range(4)))
    assert sum(counts) == 12
    assert await bounced(db) == 12


async def test_trouble_is_told_and_kept_without_the_password(db: Database, desk: ReturnDesk, box: Box) -> None:
    good = parse_mailbox_url(box.url())
    for config in (
        replace(good, password="wrong"),
        replace(good, ca_file=None),
        replace(good, folder="Nowhere"),
        replace(good, port=free_port()),
    ):
        with pytest.raises(Unavailable) as told:
            await MailboxReader(db, desk, config, asyncio.Event()).visit()
        async with db.connect() as conn:
            state = await conn.scalar(select(return_mailboxes.c.trouble).where(return_mailboxes.c.name == config.name))
        assert state == str(told.value) != ""
        assert config.password not in state


async def test_it_is_tried_again_later_and_ends_with_the_house(
    house: House, box: Box, keys: list[MessageKey], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    desk = ReturnDesk(house.database, PATHS)
    box.deliver(bounce(keys[0]))
    config = parse_mailbox_url(box.url())
    away = asyncio.create_task(keep_reading(house, desk, replace(config, port=free_port())))
    good = asyncio.create_task(keep_reading(house, desk, config))

    async def read() -> bool:
        return await bounced(house.database) == 1 and "again in" in caplog.text

    await until(read)
    house.stopping.set()
    await asyncio.wait_for(asyncio.gather(away, good), 20)
    await desk.close()
    assert "1 mails came back" in caplog.text


async def test_a_server_that_speaks_no_imap_is_trouble(box: Box) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n* CAPABILITY IMAP4rev1\r\nno tag\r\n" * 50)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    config = MailboxConfig("127.0.0.1", port, "a", "b", tls=False, starttls=False, timeout=5)

    def visit() -> None:
        with open_mailbox(config):
            pass

    with pytest.raises(MailboxError):
        await asyncio.to_thread(visit)
    listener.close()


async def test_nothing_is_said_to_a_server_that_hides_its_tls() -> None:
    """STARTTLS is missing among what it can do: no name, no password."""
    heard = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        while line := await reader.readline():
            heard.extend(line)
            writer.write(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK done\r\n")
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    config = MailboxConfig("127.0.0.1", listener.sockets[0].getsockname()[1], "a", "secret", tls=False, timeout=5)

    def visit() -> None:
        with open_mailbox(config):
            pass

    with pytest.raises(MailboxError):
        await asyncio.to_thread(visit)
    listener.close()
    assert b"CAPABILITY" in heard
    assert b"LOGIN" not in heard
    assert b"secret" not in heard


async def test_one_process_serves_both_doors(house: House, box: Box, keys: list[MessageKey]) -> None:
    port = free_port()
    told = {
        "return_path": "bounces.example.com",
        "returns_listen": f"smtp://127.0.0.1:{port}",
        "returns_imap_url": box.url("&every=5"),
    }
    here = replace(house, settings=replace(house.settings, **told))
    paths = ReturnPaths.of(here)
    assert paths is not None
    by_mail, by_mailbox = (
        dsn("5.1.1", f"550 no such user {key.customer_id}").replace(TO.encode(), str(paths.address(key)).encode())
        for key in keys[:2]
    )
    box.deliver(by_mailbox)
    serving = asyncio.create_task(serve(here))

    def send() -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
                client.sendmail("", [str(paths.address(keys[0]))], by_mail)
        except ConnectionRefusedError:
            return False
        return True

    await until(lambda: asyncio.to_thread(send))

    async def both() -> bool:
        return await bounced(house.database) == 2

    await until(both)
    here.stopping.set()
    await asyncio.wait_for(serving, 20)
    async with house.database.connect() as conn:
        doors = (await conn.execute(select(events.c.attributes["source"].astext))).scalars()
        assert sorted(doors) == ["imap", "mail"]


async def test_a_visit_by_hand_says_how_many(house: House, box: Box, keys: list[MessageKey]) -> None:
    box.deliver(*map(bounce, keys[:3]))
    told = {"return_path": "bounces.example.com", "returns_imap_url": box.url()}
    assert await read_mailbox(replace(house, settings=replace(house.settings, **told))) == 3
    told["returns_imap_url"] = f"imaps://returns:secret@127.0.0.1:{free_port()}/INBOX"
    with pytest.raises(Unavailable, match=r"returns@127.0.0.1:\d+/INBOX cannot be read: .*refused"):
        await read_mailbox(replace(house, settings=replace(house.settings, **told)))
    with pytest.raises(BadSetting, match="HEARTH_RETURN_PATH"):
        await read_mailbox(replace(house, settings=replace(house.settings, returns_imap_url=box.url())))
    with pytest.raises(BadSetting, match="HEARTH_RETURNS_IMAP_URL"):
        await read_mailbox(house)
    with pytest.raises(BadSetting, match="HEARTH_RETURNS_LISTEN"):
        await serve(house)

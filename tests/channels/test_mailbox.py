"""The demo mailbox: a real server over TCP, a real table, hostile mails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import ChannelError, Common, Personal, Verdict
from channels.email.channel import EmailChannel
from channels.email.config import parse_smtp_url
from channels.email.mailbox import Caught, MailboxStore, get, keep_mails, page, serving, store
from channels.email.mailbox_view import subject_of, view_mail
from channels.email.models import mailbox
from runtime.database import Database
from runtime.errors import NotFound, Unavailable

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CHANNEL = EmailChannel()
COMPOSER = CHANNEL.composer(Common(sender="Hearth <hearth@example.com>"))


def caught(recipient: str, subject: str = "Hi") -> Caught:
    return Caught(AT, "hearth@example.com", (recipient,), f"Subject: {subject}\r\n\r\nbody".encode())


async def send(port: int, count: int, connections: int = 5) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        async with CHANNEL.open(parse_smtp_url(f"smtp://127.0.0.1:{port}")) as sender:
            for number in numbers:
                await sender.send(
                    COMPOSER.compose(
                        Personal(
                            key=f"m{number}", to=f"p{number}@example.com", name="张伟", subject=f"空调 {number}",
                            text="你好", html="<p>你好</p>", at=AT,
                        )
                    )
                )  # fmt: skip

    await asyncio.gather(*(work() for _ in range(connections)))


async def test_every_mail_is_kept_and_shown(db: Database) -> None:
    stored = MailboxStore(db)
    async with serving("127.0.0.1", 0, stored.deliver) as port:
        await send(port, 200)
    await stored.close()
    async with db.connect() as conn:
        rows, cursor = await page(conn, limit=150)
        older, end = await page(conn, cursor=cursor, limit=150)
        assert (len(rows), len(older), end) == (150, 50, None)
        assert {row.recipient for row in rows + older} == {f"p{number}@example.com" for number in range(200)}
        [found], _ = await page(conn, q="P17@example")
        kept, raw = await get(conn, found.id)
        view = view_mail(raw)
        assert (kept.sender, kept.subject) == ("hearth@example.com", "空调 17")
        assert (view.subject, view.to, view.sender) == (
            "空调 17",
            "张伟 <p17@example.com>",
            "Hearth <hearth@example.com>",
        )
        assert (view.html, view.text) == ("<p>你好</p>", "你好")
        assert ("Message-ID", "<m17@example.com>") in view.headers


async def test_a_mailbox_without_its_database_asks_to_try_again() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    async with serving("127.0.0.1", 0, MailboxStore(away).deliver) as port:
        with pytest.raises(ChannelError) as failed:
            await send(port, 1)
    await away.close()
    assert (failed.value.verdict, failed.value.code) == (Verdict.RETRY, 451)


async def test_it_runs_until_it_is_asked_to_stop(db: Database) -> None:
    stop = asyncio.Event()
    async with serving("127.0.0.1", 0, MailboxStore(db).deliver) as port:
        with pytest.raises(Unavailable, match=rf"cannot listen on 127.0.0.1:{port}"):
            await keep_mails(db, "127.0.0.1", port, stop)
    task = asyncio.create_task(keep_mails(db, "127.0.0.1", port, stop))
    for _ in range(100):
        try:
            await send(port, 3)
            break
        except ChannelError:
            await asyncio.sleep(0.02)
    stop.set()
    await task
    async with db.connect() as conn:
        assert await conn.scalar(select(func.count()).select_from(mailbox)) == 3


async def test_hostile_search_and_cursor(conn: AsyncConnection) -> None:
    await store(conn, [caught("a@b.example", "100% off_"), caught("c@d.example")])
    assert [kept.recipient for kept in (await page(conn, q="0% off_"))[0]] == ["a@b.example"]
    assert (await page(conn, q="0_ off"))[0] == []
    assert len((await page(conn, q="\0"))[0]) == 2
    for cursor in ("x", "-1", "9" * 100, "²", ""):
        assert (await page(conn, cursor=cursor))[0] == []
    with pytest.raises(NotFound):
        await get(conn, 0)


async def test_one_row_a_recipient_and_no_nul(conn: AsyncConnection) -> None:
    await store(conn, [Caught(AT, "a\0b@c", ("x@y", "z\ud800@y"), b"Subject: =?utf-8?q?a=00b?=\r\n\r\n\0")])
    rows, _ = await page(conn)
    assert [(row.sender, row.recipient, row.subject) for row in rows] == [
        ("ab@c", "z?@y", "a b"),
        ("ab@c", "x@y", "a b"),
    ]


HOSTILE = [
    b"",
    b"\r\n\r\n",
    b"Subject",
    b"Subject: =?x-unknown?b?!!!?=\r\n\r\nx",
    b"Subject: =?utf-8?b?a?=\r\n\r\nx",
    b"Subject: " + b"x" * 100_000 + b"\r\n\r\n",
    b"Subject: a\r\n\tb\r\n\r\n",
    b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
    b"Content-Type: text/html; charset*0=utf; charset*1=-8\r\n\r\n<b>",
    b"Content-Type: multipart/mixed\r\n\r\nno boundary",
    b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx",
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
    b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx",
    b"From: \xff\xfe <a@b>\r\n\r\n",
    b"Content-Type: text/plain; charset=undefined\r\n\r\nx",
    b"Content-Type: text/plain; charset=idna\r\n\r\n\xff",
    b"Content-Type: text/plain; charset=hex\r\n\r\nzz",
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
    b"X: y\r\n" * 5000 + b"\r\n",
]


@pytest.mark.parametrize("raw", HOSTILE)
def test_any_mail_can_be_shown(raw: bytes) -> None:
    check_view(raw)


@given(st.binary(max_size=300) | st.lists(st.sampled_from(HOSTILE[:17]), max_size=4).map(b"\r\n".join))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    check_view(raw)


def check_view(raw: bytes) -> None:
    view = view_mail(raw)
    for line in (
        view.subject,
        view.sender,
        view.to,
        subject_of(raw),
        *(part for pair in view.headers for part in pair),
    ):
        assert "\r" not in line
        assert "\n" not in line
        assert "\0" not in line
        line.encode()
    assert len(view.headers) <= 200
    for body in (view.html, view.text):
        (body or "").encode()

"""Against Postfix's own sink, and the server of Python's test of time: aiosmtpd."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.contract import Common, Personal
from channels.email.channel import EmailChannel
from channels.email.config import parse_smtp_url
from channels.email.mailbox import Caught, serving
from channels.places import Guest
from channels.pool import SenderPool

AT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CHANNEL = EmailChannel()
COMPOSER = CHANNEL.composer(Common(sender="Hearth <hearth@example.com>"))
SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")
TEXT = ".\n..\n.dot\r\n你好\n" + "x" * 2000 + "\n"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A running smtp-sink and the folder where it puts each connection's mails."""
    if SINK is None:
        pytest.skip("smtp-sink (package postfix) is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tmp_path.chmod(0o777)
    account = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
    command = [SINK, *account, "-d", "mail-", f"127.0.0.1:{port}", "100"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        yield port, tmp_path
    finally:
        process.terminate()
        process.wait(10)


async def send_all(port: int, count: int) -> None:
    numbers = iter(range(count))
    pool = SenderPool(CHANNEL, parse_smtp_url(f"smtp://127.0.0.1:{port}?connections=5"))
    await connectable(port)

    async def work() -> None:
        for number in numbers:
            async with pool.borrow(Guest()) as sender:
                personal = Personal(key=f"m{number}", to=f"p{number}@example.com", text=TEXT, at=AT, html="<p>你好</p>")
                assert (await sender.send(COMPOSER.compose(personal))).accepted

    await asyncio.gather(*(work() for _ in range(8)))
    await pool.close()


async def connectable(port: int) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


async def test_smtp_sink_takes_every_mail_once(sink: tuple[int, Path]) -> None:
    port, folder = sink
    await send_all(port, 100)
    mails = b"".join(path.read_bytes() for path in folder.glob("mail-*"))
    assert sorted(mails.count(f"<m{number}@example.com>".encode()) for number in range(100)) == [1] * 100


async def test_what_arrives_is_what_was_composed() -> None:
    arrived: list[Caught] = []

    async def deliver(mail: Caught) -> None:
        arrived.append(mail)

    async with serving("127.0.0.1", 0, deliver) as port:
        await send_all(port, 60)
    assert sorted(mail.recipients for mail in arrived) == sorted((f"p{number}@example.com",) for number in range(60))
    for mail in arrived:
        number = mail.recipients[0].split("@")[0][1:]
        personal = Personal(key=f"m{number}", to=mail.recipients[0], text=TEXT, at=AT, html="<p>你好</p>")
        assert mail.raw == COMPOSER.compose(personal).wire(eight_bit=True)

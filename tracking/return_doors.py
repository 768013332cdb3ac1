"""The doors that mails come back through, as the settings open them: a mail server of our own, a mailbox, or both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from channels.email.returns.listener import listening
from channels.email.returns.mailbox_config import mailbox_of
from runtime.errors import Unavailable
from runtime.house import House
from runtime.settings import BadSetting, Settings
from tracking.return_desk import ReturnDesk, return_paths
from tracking.return_mailbox import MailboxReader, keep_reading

log = logging.getLogger(__name__)


def opens_doors(settings: Settings) -> bool:
    """Whether `serve` has something to do."""
    return settings.returns_listen is not None or settings.returns_imap_url is not None


async def serve(house: House) -> None:
    """Every door of the settings, until the house stops. Raises BadSetting, and Unavailable where a port is taken."""
    listen, mailbox = house.settings.returns_listen, mailbox_of(house.settings)
    if listen is None and mailbox is None:
        raise BadSetting("HEARTH_RETURNS_LISTEN or HEARTH_RETURNS_IMAP_URL: one of them is required here")
    async with _desk(house) as desk:
        doors = []
        if listen is not None:
            parts = urlsplit(listen)
            doors.append(_listen(house, desk, parts.hostname or "", parts.port or 0, lmtp=parts.scheme == "lmtp"))
        if mailbox is not None:
            doors.append(keep_reading(house, desk, mailbox))
        await asyncio.gather(*doors)


async def take_returns(house: House, host: str, port: int, *, lmtp: bool = False) -> None:
    """Listen until the house stops. Raises BadSetting, and Unavailable where the port is taken."""
    async with _desk(house) as desk:
        await _listen(house, desk, host, port, lmtp=lmtp)


async def read_mailbox(house: House) -> int:
    """Visit the mailbox of the settings once; how many mails were read. Raises BadSetting, Unavailable."""
    mailbox = mailbox_of(house.settings)
    if mailbox is None:
        raise BadSetting("HEARTH_RETURNS_IMAP_URL: required here; the mailbox that mails come back to")
    async with _desk(house) as desk:
        try:
            return await MailboxReader(house.database, desk, mailbox, house.stopping).visit()
        except Unavailable as error:
            raise Unavailable(f"{mailbox.name} cannot be read: {error}") from error


@asynccontextmanager
async def _desk(house: House) -> AsyncIterator[ReturnDesk]:
    desk = ReturnDesk(house.database, return_paths(house))
    try:
        yield desk
    finally:
        await desk.close()


async def _listen(house: House, desk: ReturnDesk, host: str, port: int, *, lmtp: bool) -> None:
    async def take(raw: bytes, recipient: str) -> None:
        await desk.take(raw, recipient)

    try:
        async with listening(host, port, desk.knows, take, lmtp=lmtp) as bound:
            log.info("listening for what comes back on %s:%s", host, bound)
            await house.stopping.wait()
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error}") from error

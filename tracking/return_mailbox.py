"""The mailbox that mails come back to, read every minute.

How far it was read stands in the database, by UIDVALIDITY and UID, and moves on once what the mails say is committed
and they are marked: nothing is lost, and what is read twice after a crash changes nothing. One process holds it at a
time; another takes over once the first was silent for HELD.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Update, func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from channels.email.returns.mailbox import AT_ONCE, Mailbox, open_mailbox
from channels.email.returns.mailbox_config import MailboxConfig
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House
from runtime.process import pause
from tracking.models import return_mailboxes
from tracking.return_desk import ReturnDesk

log = logging.getLogger(__name__)

HELD = timedelta(minutes=5)
_AGAIN = Backoff(None, timedelta(seconds=10), timedelta(minutes=15))

_row = return_mailboxes.c


@dataclass(frozen=True, slots=True)
class Place:
    """How far a mailbox was read."""

    validity: int
    uid: int


class MailboxReader:
    """`mine`: what this process is called, among those that may read the same mailbox."""

    def __init__(self, database: Database, desk: ReturnDesk, config: MailboxConfig, stopping: asyncio.Event) -> None:
        self._database = database
        self._desk = desk
        self._config = config
        self._stopping = stopping
        self._mine = secrets.token_hex(8)

    async def visit(self) -> int:
        """Read what came since the last visit; how many mails. 0 where another process reads. Raises Unavailable."""
        place = await self._claim()
        if place is None:
            return 0
        stack = ExitStack()
        try:
            try:
                mailbox = await asyncio.to_thread(stack.enter_context, open_mailbox(self._config))
                count = await self._read(mailbox, place)
            finally:
                await asyncio.to_thread(stack.close)
        except Unavailable as error:
            await self._told(str(error))
            raise
        await self._told(None)
        return count

    async def _read(self, mailbox: Mailbox, place: Place) -> int:
        at, count = place.uid if place.validity == mailbox.validity else 0, 0
        while at < mailbox.next_uid - 1 and not self._stopping.is_set():
            uids, upto = await asyncio.to_thread(mailbox.waiting, at)
            for start in range(0, len(uids), AT_ONCE):
                if self._stopping.is_set():
                    return count
                some = uids[start : start + AT_ONCE]
                count += await self._take(mailbox, some)
                if not await self._move_on(Place(mailbox.validity, some[-1]), len(some)):
                    return count
            if not await self._move_on(Place(mailbox.validity, upto), 0):
                return count
            at = upto
        return count

    async def _take(self, mailbox: Mailbox, uids: list[int]) -> int:
        mails = await asyncio.to_thread(mailbox.fetch, uids)
        await asyncio.gather(*(self._desk.take(mail, door="imap") for mail in mails))
        await asyncio.to_thread(mailbox.mark, uids)
        return len(mails)

    async def _claim(self) -> Place | None:
        """Where to go on, if nobody else reads it. Raises Unavailable."""
        held = {"held_by": self._mine, "held_until": func.now() + HELD}
        row = insert(return_mailboxes).values(name=self._config.name, validity=0, uid=0, **held)
        free = or_(_row.held_by.is_(None), _row.held_by == self._mine, _row.held_until < func.now())
        claimed = row.on_conflict_do_update(index_elements=["name"], set_=held, where=free)
        try:
            async with self._database.begin() as conn:
                found = (await conn.execute(claimed.returning(_row.validity, _row.uid))).first()
        except DBAPIError as error:
            raise Unavailable("the database is away") from error
        return None if found is None else Place(found.validity, found.uid)

    async def _move_on(self, place: Place, count: int) -> bool:
        """False where another process took over."""
        values = {"validity": place.validity, "uid": place.uid, "read": _row.read + count}
        async with self._database.begin() as conn:
            moved = await conn.execute(self._own().values(**values, held_until=func.now() + HELD))
        return moved.rowcount == 1

    async def _told(self, trouble: str | None) -> None:
        """How the visit ended; nobody holds the mailbox then."""
        said = {"read_at": func.now()} if trouble is None else {"trouble_at": func.now()}
        async with self._database.begin() as conn:
            await conn.execute(self._own().values(held_by=None, held_until=None, trouble=trouble, **said))

    def _own(self) -> Update:
        return update(return_mailboxes).where(_row.name == self._config.name, _row.held_by == self._mine)


async def keep_reading(house: House, desk: ReturnDesk, config: MailboxConfig) -> None:
    """Visit until the house stops; after trouble later and later, up to a quarter of an hour."""
    reader, failed = MailboxReader(house.database, desk, config, house.stopping), 0
    log.info("reading what comes back from %s, every %.0f s", config.name, config.every)
    while not house.stopping.is_set():
        seconds = config.every
        try:
            count = await reader.visit()
        except (Unavailable, DBAPIError) as error:
            failed += 1
            now = utc_now()
            seconds = max(((_AGAIN.next_at(failed, now) or now) - now).total_seconds(), 1.0)
            log.warning("%s cannot be read: %s; again in %.0f s", config.name, _first_line(error), seconds)
        else:
            if failed:
                log.info("%s can be read again", config.name)
            failed = 0
            if count:
                log.info("%s mails came back to %s", count, config.name)
        await pause(house, seconds)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

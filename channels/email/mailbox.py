"""The demo mailbox: a real SMTP server that keeps what it is given, for the console to show.

It takes any mail for anybody and sends nothing on, so a fresh installation can run campaigns without reaching a
single person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy import or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.email.mailbox_view import subject_of
from channels.email.models import mailbox
from runtime.clock import utc_now
from runtime.database import Database, copy_rows
from runtime.errors import NotFound, Unavailable
from runtime.group_commit import GroupCommit

log = logging.getLogger(__name__)

MAX_MAIL = 10_000_000


@dataclass(frozen=True, slots=True)
class Caught:
    """A mail as the server took it over."""

    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A line of the list."""

    id: int
    received_at: datetime
    sender: str
    recipient: str
    subject: str


# Returns once the mail is kept; raises Unavailable where it cannot be: the sending side then tries again.
Deliver = Callable[[Caught], Awaitable[None]]


@asynccontextmanager
async def serving(host: str, port: int, deliver: Deliver) -> AsyncIterator[int]:
    """A mail server for the length of the block; gives its port (for 0 a free one)."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _protocol(deliver, loop), host, port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def keep_mails(database: Database, host: str, port: int, until: asyncio.Event) -> None:
    """Run the demo mailbox on a database until `until` is set. Raises Unavailable where the port is taken."""
    store = MailboxStore(database)
    try:
        async with serving(host, port, store.deliver) as bound:
            log.info("the demo mailbox listens on %s:%s", host, bound)
            await until.wait()
    except OSError as error:
        raise Unavailable(f"the demo mailbox cannot listen on {host}:{port}: {error}; see HEARTH_SMTP_URL") from error
    finally:
        await store.close()


class MailboxStore:
    """Mails into the table, by group commit."""

    def __init__(self, database: Database) -> None:
        self._commits = GroupCommit(database, store)

    async def deliver(self, mail: Caught) -> None:
        """Returns once the mail is committed. Raises Unavailable."""
        try:
            await self._commits.submit(mail)
        except DBAPIError as error:
            raise Unavailable("the mailbox cannot keep mails now") from error

    async def close(self) -> None:
        """Return when everything delivered is committed or refused."""
        await self._commits.close()


async def store(conn: AsyncConnection, mails: Sequence[Caught]) -> None:
    """Keep mails, one row a recipient."""
    rows = [
        (mail.received_at, _clean(mail.sender), _clean(recipient), subject_of(mail.raw), mail.raw)
        for mail in mails
        for recipient in mail.recipients
    ]
    await copy_rows(conn, "mailbox", ["received_at", "sender", "recipient", "subject", "raw"], rows)


async def page(
    conn: AsyncConnection, q: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[list[Kept], str | None]:
    """Mails whose recipient or subject contains `q`, newest first, and the cursor of the next page."""
    query = select(*(mailbox.c[name] for name in ("id", "received_at", "sender", "recipient", "subject")))
    if q and (words := q.replace("\0", "").strip()):
        contains = [mailbox.c[name].icontains(words, autoescape=True) for name in ("recipient", "subject")]
        query = query.where(or_(*contains))
    if cursor is not None:
        query = query.where(mailbox.c.id < _number(cursor))
    rows = (await conn.execute(query.order_by(mailbox.c.id.desc()).limit(limit + 1))).all()
    kept = [Kept(*row) for row in rows[:limit]]
    return kept, str(kept[-1].id) if len(rows) > limit else None


async def get(conn: AsyncConnection, mail_id: int) -> tuple[Kept, bytes]:
    """One mail and its bytes. Raises NotFound."""
    row = (await conn.execute(select(mailbox).where(mailbox.c.id == mail_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no mail {mail_id} in the mailbox")
    return Kept(row.id, row.received_at, row.sender, row.recipient, row.subject), bytes(row.raw)


class _Handler:
    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogateescape")
        try:
            await self._deliver(Caught(utc_now(), envelope.mail_from or "", tuple(envelope.rcpt_tos), raw))
        except Unavailable as error:
            return f"451 4.3.0 {error}"
        return "250 2.0.0 kept"


def _protocol(deliver: Deliver, loop: asyncio.AbstractEventLoop) -> Any:
    return SMTP(
        _Handler(deliver), data_size_limit=MAX_MAIL, enable_SMTPUTF8=True, ident="Hearth", hostname="hearth", loop=loop
    )


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _number(cursor: str) -> int:
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 19 else 0

"""Mails that come back, from whichever door, to their messages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from channels.contract import EventKind
from channels.email.returns import Returned, ReturnKind, read_return
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import GroupCommit
from runtime.house import House
from runtime.settings import BadSetting
from tracking.ledger import MessageKey
from tracking.return_paths import ReturnPaths
from tracking.returns import Report, apply_reports
from tracking.strays import Stray, keep_strays

log = logging.getLogger(__name__)

# Where feedback loops and servers write that do not use the return path; without a message of ours in it, a mail to
# these changes nothing.
_ROLES = frozenset({"abuse", "complaints", "fbl", "mailer-daemon", "postmaster"})
_KINDS = {
    ReturnKind.BOUNCE: EventKind.BOUNCED,
    ReturnKind.COMPLAINT: EventKind.COMPLAINED,
    ReturnKind.REPLY: EventKind.REPLIED,
    ReturnKind.RECEIPT: EventKind.DELIVERED,
}


def return_paths(house: House) -> ReturnPaths:
    """Raises BadSetting where mails go back to their sender."""
    paths = ReturnPaths.of(house)
    if paths is None or not paths.domain:
        raise BadSetting("HEARTH_RETURN_PATH: required here; the domain or mailbox that mails come back to")
    return paths


class ReturnDesk:
    """One a process, on its event loop."""

    def __init__(self, database: Database, paths: ReturnPaths) -> None:
        self._paths = paths
        self._commits = GroupCommit(database, _apply)

    def knows(self, address: str) -> bool:
        """Whether mail for this address is taken."""
        local, _, domain = address.strip().lower().rpartition("@")
        return self._paths.read(address) is not None or (domain == self._paths.domain and local in _ROLES)

    async def take(self, raw: bytes, recipient: str = "", door: str = "mail") -> Returned:
        """Returns once what the mail says is committed; what it was read as. Raises Unavailable.

        `recipient`: of its envelope, "" where only the mail is left (a mailbox). `door`: what events call it. A mail
        without a return path of ours changes nothing, and is kept among the strays for whoever wonders.
        """
        returned = read_return(raw)
        said = self.said(returned, recipient, door, utc_now())
        if said is None:
            log.info("a mail that came back changes nothing: %s", returned.kind)
            return returned
        try:
            await self._commits.submit(said)
        except DBAPIError as error:
            raise Unavailable("what came back cannot be written now") from error
        return returned

    def said(self, returned: Returned, recipient: str, door: str, now: datetime) -> Report | Stray | None:
        """What the mail says of a message of ours; None where it says nothing of it."""
        kind, key = _KINDS.get(returned.kind), self._message((recipient, *returned.paths))
        if key is None:
            return Stray(returned.id, door, str(returned.kind), returned.recipient or recipient, returned.words)
        if kind is None:
            return None
        return Report(
            key,
            kind,
            returned.at or now,
            returned.bounce,
            returned.status,
            returned.code,
            returned.words,
            source=door,
            id=returned.id,
        )

    async def close(self) -> None:
        """Wait until all that was taken in is written."""
        await self._commits.close()

    def _message(self, addresses: Sequence[str]) -> MessageKey | None:
        return next((key for key in map(self._paths.read, addresses) if key is not None), None)


async def _apply(conn: AsyncConnection, said: Sequence[Report | Stray]) -> None:
    now = utc_now()
    await apply_reports(conn, [each for each in said if isinstance(each, Report)], now)
    await keep_strays(conn, [each for each in said if isinstance(each, Stray)], now)

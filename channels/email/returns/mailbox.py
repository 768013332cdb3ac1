"""A mailbox on an IMAP server, for whoever cannot lead a domain's mail here.

IMAPClient (BSD, maintained, on the standard library's imaplib) in a thread: visits are rare and short, so they need no
place on the event loop. Every call blocks, and raises MailboxError.
"""

from __future__ import annotations

import contextlib
import imaplib
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from channels.email.replies import clean_text
from channels.email.returns.mailbox_config import MailboxConfig
from runtime.errors import Unavailable

READ_OF_A_MAIL = 1_048_576  # what the parser looks at
AT_ONCE = 10
# UIDs that are asked for at once: what a server answers is short, however much waits.
WINDOW = 5_000
# What was read carries this where the server keeps it, so that a mailbox that was made anew is not read again.
READ = "HearthRead"


class MailboxError(Unavailable):
    """The mailbox cannot be read now; the server's words."""


class Mailbox:
    """A folder, opened. `validity`: of its UIDs. `next_uid`: of the next mail that comes."""

    def __init__(self, client: Any, config: MailboxConfig) -> None:
        self._client = client
        self._move = config.move
        found = client.select_folder(config.folder)
        self.validity, self.next_uid = int(found[b"UIDVALIDITY"]), int(found[b"UIDNEXT"])
        kept = found.get(b"PERMANENTFLAGS", ())
        self._keeps = b"\\*" in kept or READ.encode() in kept
        if self._move is not None and not client.folder_exists(self._move):
            client.create_folder(self._move)

    def waiting(self, after: int) -> tuple[list[int], int]:
        """UIDs above `after` that were not read, ascending, and up to where that is all."""
        upto = min(after + WINDOW, self.next_uid - 1)
        if upto <= after:
            return [], after
        asked = ["UID", f"{after + 1}:{upto}", "UNDELETED", *(["UNKEYWORD", READ] if self._keeps else [])]
        with _told():
            found = self._client.search(asked)
        return sorted(uid for uid in found if after < uid <= upto), upto

    def fetch(self, uids: Sequence[int]) -> list[bytes]:
        """The mails, each as far as READ_OF_A_MAIL; those that went away meanwhile are left out."""
        with _told():
            found = self._client.fetch(uids, [f"BODY.PEEK[]<0.{READ_OF_A_MAIL}>"])
        mails = (found[uid].get(b"BODY[]<0>") for uid in uids if uid in found)
        return [mail[:READ_OF_A_MAIL] for mail in mails if mail is not None]

    def mark(self, uids: Sequence[int]) -> None:
        """They were read: away with them, or marked."""
        with _told():
            self._client.add_flags(uids, [b"\\Seen", *([READ] if self._keeps else [])], silent=True)
            if self._move is not None:
                self._away(uids, self._move)

    def _away(self, uids: Sequence[int], folder: str) -> None:
        """By MOVE (RFC 6851). Without it they are copied and deleted; without UIDPLUS too, they stay as deleted, since
        others may have deleted mails there, which are not ours to expunge."""
        if self._client.has_capability("MOVE"):
            self._client.move(uids, folder)
            return
        self._client.copy(uids, folder)
        self._client.delete_messages(uids, silent=True)
        if self._client.has_capability("UIDPLUS"):
            self._client.uid_expunge(uids)


@contextlib.contextmanager
def open_mailbox(config: MailboxConfig) -> Iterator[Mailbox]:
    """Log in and open the folder for the length of the block."""
    with _told():
        client = IMAPClient(
            config.host,
            config.port,
            ssl=config.tls,
            ssl_context=_context(config) if config.tls else None,
            timeout=config.timeout,
        )
    try:
        with _told():
            if not config.tls and config.starttls:
                client.starttls(_context(config))
            client.login(config.username, config.password)
            opened = Mailbox(client, config)
        yield opened
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            client.logout()
    finally:
        with contextlib.suppress(OSError):
            client.shutdown()


def _context(config: MailboxConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (IMAPClientError, imaplib.IMAP4.error, OSError) as error:
        raise MailboxError(clean_text(str(error) or type(error).__name__)) from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # an answer that is none of IMAP
        raise MailboxError(f"the server's answer cannot be read: {clean_text(repr(error))}") from error

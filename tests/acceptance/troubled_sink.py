"""The counting sink with the troubles of FAULTS.md rows 10, 11, 12 and 14: `trouble_of(address)` says whom each meets.

Everybody meets their trouble at the first attempt only, but for LASTING ones, those of the domain `grey` (refused for
WINDOW seconds) and of `busy` (refused as a whole, REFUSED times). An answer to a final dot names the recipient, so that
one that was put down to another message shows.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from enum import StrEnum

from tests.acceptance.counting_sink import ANSWERS, Conversation, serve

AT_CONNECT, AT_EHLO, OF = 10, 15, 20  # of so many connections, these are turned away there
REFUSED = 7  # more than the patience with a domain
WINDOW = 2.0  # who was only announced, since the message before broke off, comes again at once
POLICY_WORDS = "550 5.7.1 Message rejected: looks like spam"


class Trouble(StrEnum):
    CUT = "closed without a word instead of an answer to RCPT"
    BUSY_MAIL = "421 at MAIL"
    BUSY_DATA = "421 at DATA"
    BUSY_DOT = "421 at the final dot"
    LATER = "451 at the final dot"
    EXTRA = "one answer too many after the final dot"
    MISSING = "no answer to RCPT"
    WRONG = "354 to RCPT"
    HALF_OPEN = "silence at RCPT"
    TARPIT = "one byte a second at RCPT"
    ENDLESS = "an answer to RCPT without end"
    DOUBT = "closed after the final dot"
    FULL = "552 at RCPT"
    SPLIT = "answers byte by byte"
    AGED = "421 behind the answer to the final dot"
    GREY = "451 at RCPT, greylisting"
    GONE = "550 5.1.1 at RCPT"
    BUSY = "421 at RCPT, the whole domain"
    POLICY = POLICY_WORDS


BY_NUMBER = dict(enumerate(list(Trouble)[:15]))  # the rest of a person's number divided by EVERY
EVERY = 1000
_DOMAINS = {"grey": Trouble.GREY, "gone": Trouble.GONE, "busy": Trouble.BUSY, "policy": Trouble.POLICY}
_ADDRESS = re.compile(r"p(\d+)@(\w+)\.example")
_AT_RCPT = {
    Trouble.BUSY: b"421 4.7.0 too many messages from you\r\n",
    Trouble.FULL: b"552 5.2.2 mailbox full\r\n",
    Trouble.GONE: b"550 5.1.1 no such user\r\n",
    Trouble.GREY: b"451 4.7.1 greylisted\r\n",
    Trouble.MISSING: b"",
    Trouble.POLICY: POLICY_WORDS.encode() + b"\r\n",
    Trouble.WRONG: b"354 go\r\n",
}
_connections = itertools.count(1)
LASTING = frozenset({Trouble.FULL, Trouble.GONE})
_LATE = frozenset(  # met once the message has come; its envelope alone may be announced in vain
    {Trouble.BUSY_DOT, Trouble.LATER, Trouble.EXTRA, Trouble.DOUBT, Trouble.SPLIT, Trouble.AGED}
)
_SILENT = frozenset({Trouble.CUT, Trouble.HALF_OPEN, Trouble.TARPIT, Trouble.ENDLESS})
_first_seen: dict[bytes, float] = {}
_BUSY = b"421 4.3.2 going down for a moment\r\n"


def trouble_of(address: str) -> Trouble | None:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return None
    return _DOMAINS.get(found[2]) or BY_NUMBER.get(int(found[1]) % EVERY)


class Troubled(Conversation):
    """`met`, in place of the muted: who has met their trouble."""

    def __init__(self, log: int, met: set[bytes]) -> None:
        super().__init__(log, set())
        self._number = next(_connections) % OF
        self._met = met
        self._now: Trouble | None = None  # of the message under way
        self._deaf = False

    def data_received(self, data: bytes) -> None:
        if not self._deaf:
            super().data_received(data)

    def _greeting(self) -> bytes:
        return _BUSY if self._number == AT_CONNECT else super()._greeting()

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO" and self._number == AT_EHLO:
            return _BUSY
        if verb == b"MAIL":
            return self._announced()
        if verb == b"RCPT":
            super()._command(line)
            return self._named()
        if verb == b"DATA" and self._now is Trouble.BUSY_DATA:
            return _BUSY
        if verb == b"DATA" and self._now in (Trouble.GONE, Trouble.GREY, Trouble.FULL, Trouble.POLICY):
            return b"503 5.5.1 no recipients\r\n"
        return super()._command(line)

    def _announced(self) -> bytes:
        """Who is named in the same group may be turned away before."""
        _, found, rest = bytes(self._buffer).partition(b"RCPT TO:<")
        address = rest.partition(b">")[0]
        if found and trouble_of(address.decode()) is Trouble.BUSY_MAIL and address not in self._met:
            self._met.add(address)
            return _BUSY
        return ANSWERS[b"MAIL"]

    def _named(self) -> bytes:
        self._now = self._trouble()
        if self._now in _SILENT:
            self._deaf = True
            self._buffer.clear()
            asyncio.get_running_loop().call_soon(self._go_on, self._now)  # after the answers before
            return b""
        return _AT_RCPT.get(self._now, ANSWERS[b"RCPT"]) if self._now else ANSWERS[b"RCPT"]

    def _trouble(self) -> Trouble | None:
        address, now = self._recipient, time.monotonic()
        found = trouble_of(address.decode())
        if found is None or found in LASTING:
            return found
        if found is Trouble.GREY:
            return found if now - _first_seen.setdefault(address, now) < WINDOW else None
        if found is Trouble.BUSY:
            address = next((mark for n in range(REFUSED) if (mark := b"busy %d" % n) not in self._met), b"busy 0")
        if address in self._met:
            return None
        if found not in _LATE:
            self._met.add(address)
        return found

    def _go_on(self, trouble: Trouble) -> None:
        """For as long as the client can bear it."""
        if trouble is Trouble.HALF_OPEN or self._transport.is_closing():
            return
        if trouble is Trouble.CUT:
            self._transport.close()
            return
        if trouble is Trouble.TARPIT:
            self._transport.write(b"2")
        elif self._transport.get_write_buffer_size() < 1 << 20:
            self._transport.write(b"250-and so on\r\n" * 4096)
        wait = 1.0 if trouble is Trouble.TARPIT else 0.01
        asyncio.get_running_loop().call_later(wait, self._go_on, trouble)

    def _taken(self, message: bytes) -> bytes:
        now, self._now = self._now, None
        self._met.add(self._recipient)
        if now is Trouble.BUSY_DOT or now is Trouble.LATER:
            self._in_message = False
            return _BUSY if now is Trouble.BUSY_DOT else b"451 4.3.0 later\r\n"
        super()._taken(message)
        answer = b"250 2.0.0 taken for " + self._recipient + b"\r\n"
        if now is Trouble.DOUBT:
            self._transport.abort()
            return b""
        if now is Trouble.SPLIT:
            for place in range(len(answer)):
                self._transport.write(answer[place : place + 1])
            return b""
        if now is Trouble.AGED:
            self._transport.write(answer + _BUSY)
            self._transport.close()
            return b""
        return answer + (b"250 2.0.0 and more\r\n" if now is Trouble.EXTRA else b"")


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Troubled))

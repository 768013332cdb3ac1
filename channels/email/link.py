"""One SMTP connection after its opening: groups of commands out, whole answers in, each put down to its own command.

aiosmtplib opens the connection (TLS, login, capabilities); from then on this protocol sits on its transport, since a
message then costs two writes and two wake-ups (RFC 2920) and a twentieth of the time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple, cast

from channels.email.replies import Reply

MAX_ANSWER = 32 * 1024
_LINE = re.compile(rb"([2-5][0-9][0-9])([ -]?)([^\n]*?)\r?", re.DOTALL)


class LinkLost(Exception):
    """The connection is of no more use. `sent` is False as long as part of the last group (before its `behind` last
    bytes) was still in this process; `answers` are those to the last group that did arrive."""

    def __init__(self, text: str, *, sent: bool = False, answers: Sequence[Reply] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.sent = sent
        self.answers = list(answers)


class Group(NamedTuple):
    """Commands written at once, and how many answers they get. `behind`: how many bytes of `data` follow a final dot
    in it."""

    data: bytes
    answers: int
    behind: int = 0


class Patience(NamedTuple):
    """Seconds until the last byte of a group has left this process, then until its first answer, then until the
    others."""

    sending: float
    first: float
    rest: float


class _Line(NamedTuple):
    """One line of an answer: what it would be as the whole of it, and whether it is its last."""

    code: int
    reply: Reply
    last: bool


@lru_cache(maxsize=256)
def _read_line(line: bytes) -> _Line | None:
    """Without its line feed; servers say the same again and again. None: no SMTP."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    code = int(found[1])
    return _Line(code, Reply(code, found[3].strip().decode("utf-8", "replace")), found[2] != b"-")


class Link(asyncio.Protocol):
    """Write a group, await its answers; anything else that arrives makes the link useless."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._code = 0
        self._lines: list[str] = []
        self._answers: list[Reply] = []
        self._expected = 0
        self._wanted = 0
        self._behind = 0
        self._gone = True
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._lost: str | None = None

    @classmethod
    def over(cls, transport: asyncio.Transport) -> Link:
        """Take over a transport on which the server has answered everything that was asked."""
        link = cls(asyncio.get_running_loop())
        transport.set_protocol(link)
        link.connection_made(transport)
        return link

    @property
    def lost(self) -> str | None:
        """Why the link is of no more use; None while it is."""
        return self._lost

    async def ask(self, group: Group, patience: Patience) -> list[Reply]:
        """Write a group and return its answers. Raises LinkLost."""
        if self._buffer or self._lines:
            self._lost = self._lost or "the server said something unasked"
        if self._lost is not None or self._transport is None:
            raise LinkLost(self._lost or "the connection is closed")
        self._answers, self._expected, self._behind, self._gone = [], group.answers, group.behind, True
        self._transport.write(group.data)
        if self._paused:
            await self._until(group.answers, patience.sending, "the server stopped reading")
            if self._paused and self._lost is None:
                self._lost = "the server answered before it had everything"
        for wanted, seconds in ((1, patience.first), (group.answers, patience.rest)):
            if len(self._answers) < wanted and self._lost is None:
                await self._until(wanted, seconds, "the server did not answer in time")
        self._expected = 0
        if len(self._answers) < group.answers:
            raise LinkLost(self._lost or "the connection is closed", sent=self._gone, answers=self._answers)
        if self._paused and self._answers[-1].code < 400:
            raise LinkLost(self._lost or "the server answered before it had everything")
        return self._answers

    def drop(self, reason: str = "closed") -> None:
        """Close at once, saying nothing."""
        self._lost = self._lost or reason
        if self._transport is not None:
            self._transport.abort()

    async def bye(self, patience: float = 2.0) -> None:
        """Say QUIT where that is still possible, and close."""
        if self._lost is None:
            with suppress(LinkLost):
                await self.ask(Group(b"QUIT\r\n", 1), Patience(patience, patience, patience))
        self.drop()

    # -- what the event loop calls --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # "Paused" then means: not every byte has left this process, so a final dot behind it has not either. (TLS
        # pauses at the limit, TCP above it; what TLS has encrypted already counts as gone, which errs towards doubt.)
        tls = transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=1 if tls else 0, low=0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}" if exc else "the server closed the connection")

    def eof_received(self) -> bool:
        self._fail("the server closed the connection")
        return False

    def pause_writing(self) -> None:
        self._paused = True
        self._gone = False

    def resume_writing(self) -> None:
        self._paused = False
        self._gone = True
        self._wake()

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in map(_read_line, lines):
            if line is None:
                self._fail("the server's answer is no SMTP")
                break
            self._take_line(line)
        if len(self._buffer) + sum(map(len, self._lines)) > MAX_ANSWER:  # what was said before it stands
            self._fail("the server's answer is too long")
        if self._wanted and len(self._answers) >= self._wanted:
            self._wake()

    def _take_line(self, line: _Line) -> None:
        if self._lines and line.code != self._code:
            self._fail("the server's answer changes its code midway")
        if line.last and not self._lines:
            self._take(line.reply)
            return
        self._code = line.code
        self._lines.append(line.reply.text)
        if line.last:
            text = " ".join(self._lines)
            self._lines.clear()
            self._take(Reply(line.code, text))

    def _take(self, answer: Reply) -> None:
        if len(self._answers) < self._expected:
            self._answers.append(answer)
        elif self._lost is None:
            self._lost = f"the server said unasked: {answer}"

    def _fail(self, reason: str) -> None:
        self._lost = self._lost or reason
        if self._transport is not None and not self._transport.is_closing():
            self._gone = self._gone or self._transport.get_write_buffer_size() <= self._behind
            self._transport.abort()
        elif self._behind:  # nobody can tell any more how much of it had left
            self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _until(self, wanted: int, patience: float, complaint: str) -> None:
        """Until there are `wanted` answers, everything is written, or the link is lost."""
        self._wanted = wanted
        self._waiter = self._loop.create_future()
        alarm = self._loop.call_later(patience, self._fail, complaint)
        try:
            await self._waiter
        finally:
            alarm.cancel()
            self._waiter, self._wanted = None, 0

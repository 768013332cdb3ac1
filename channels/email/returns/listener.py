"""A mail server for what comes back: SMTP, or LMTP behind a mail server of one's own.

It takes mail for addresses that it is told are known, one recipient a mail, and says 250 only after the mail was taken.
Who comes while MOST_OPEN others are connected is told to come back later; nobody stays longer than LONGEST seconds, or
silent for longer than SILENCE.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from runtime.errors import Unavailable

MAX_MAIL = 10_000_000  # a returned original may be long; what is read of it stands at its beginning
MOST_OPEN = 100
LONGEST = 900.0
SILENCE = 120.0

Knows = Callable[[str], bool]
# The mail and its recipient; returns once what it says is committed. Raises Unavailable: the other side tries again.
Take = Callable[[bytes, str], Awaitable[None]]


@asynccontextmanager
async def listening(host: str, port: int, knows: Knows, take: Take, *, lmtp: bool = False) -> AsyncIterator[int]:
    """A server for the length of the block; gives its port (for 0 a free one). Raises OSError where it cannot
    listen."""
    loop = asyncio.get_running_loop()
    kind = _LimitedLMTP if lmtp else _Limited
    open_now: set[asyncio.BaseTransport] = set()

    def protocol() -> asyncio.Protocol:
        if len(open_now) >= MOST_OPEN:
            return _Full()
        made = kind(
            _Handler(knows, take),
            data_size_limit=MAX_MAIL,
            enable_SMTPUTF8=True,
            ident="Hearth",
            hostname="hearth",
            loop=loop,
            timeout=SILENCE,
        )
        made.open_now = open_now
        return made

    server = await loop.create_server(protocol, host, port)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


class _Limited(SMTP):
    """Counted while it is open, and cut off after LONGEST."""

    open_now: set[asyncio.BaseTransport]
    _own: asyncio.BaseTransport
    _end: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._own = transport
        self.open_now.add(transport)
        self._end = self.loop.call_later(LONGEST, transport.close)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._end.cancel()
        self.open_now.discard(self._own)
        super().connection_lost(error)


class _LimitedLMTP(_Limited, LMTP):
    pass


class _Full(asyncio.Protocol):
    """Says 421 and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.7.0 too many connections, come back later\r\n")
        transport.close()


class _Handler:
    def __init__(self, knows: Knows, take: Take) -> None:
        self._knows = knows
        self._take = take

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not self._knows(address):
            return "550 5.1.1 no message of ours comes back here"
        if envelope.rcpt_tos:
            return "452 4.5.3 one recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogateescape")
        try:
            await self._take(raw, envelope.rcpt_tos[0])
        except Unavailable as error:
            return f"451 4.3.0 {error}"
        return "250 2.0.0 taken"

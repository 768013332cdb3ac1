"""A mail server that follows a script, for the faults that well-behaved servers do not have."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = bytes | None  # None: close the connection without a word; empty: say nothing


@dataclass
class Script:
    """Answers by command; a callable gets the number of the message on this server. `accepted` holds what was taken
    over."""

    greeting: Answer = b"220 test ESMTP\r\n"
    ehlo: Answer = b"250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1000000\r\n"
    helo: Answer = b"250 test\r\n"
    mail: Answer | Callable[[int], Answer] = b"250 2.1.0 ok\r\n"
    rcpt: Answer | Callable[[int], Answer] = b"250 2.1.5 ok\r\n"
    data: Answer | Callable[[int], Answer] = b"354 go\r\n"
    dot: Answer | Callable[[int], Answer] = b"250 2.0.0 queued\r\n"
    rset: Answer = b"250 2.0.0 ok\r\n"
    starttls: Answer = b"502 no\r\n"
    auth: Answer = b"235 2.7.0 ok\r\n"
    quit: Answer = b"221 bye\r\n"
    tls: ssl.SSLContext | None = None
    hang_at: str | None = None
    byte_delay: float = 0.0
    connections: int = 0
    lines: list[bytes] = field(default_factory=list)
    accepted: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Script]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        script.connections += 1
        try:
            await _talk(script, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls, limit=1 << 24)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


VERBS = {
    b"EHLO": "ehlo",
    b"HELO": "helo",
    b"STAR": "starttls",
    b"AUTH": "auth",
    b"MAIL": "mail",
    b"RCPT": "rcpt",
    b"DATA": "data",
    b"RSET": "rset",
    b"QUIT": "quit",
}


async def _talk(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    said = await _say(script, writer, "greeting")
    while said is not None and (line := await reader.readline()):
        script.lines.append(line)
        verb = VERBS[line[:4].upper()]
        said = await _say(script, writer, verb)
        if verb == "data" and said is not None and said.startswith(b"354"):
            said = await _take_message(script, reader, writer)
        elif verb == "starttls" and said is not None and script.tls is not None:
            await writer.start_tls(script.tls)


async def _take_message(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
    body = await reader.readuntil(b"\r\n.\r\n")
    answer = _answer(script, "dot")
    if answer is None or answer[:1] in (b"", b"2"):
        script.accepted.append(body)
    return await _say(script, writer, "dot", lambda _: answer)


def _answer(script: Script, verb: str, given: Callable[[int], Answer] | None = None) -> Answer:
    answer = given or getattr(script, verb)
    said: Answer = answer(len(script.accepted)) if callable(answer) else answer
    return said


async def _say(
    script: Script, writer: asyncio.StreamWriter, verb: str, given: Callable[[int], Answer] | None = None
) -> bytes | None:
    """What was said; None where the conversation ends with it."""
    if script.hang_at == verb:
        await asyncio.sleep(3600)
    said = _answer(script, verb, given)
    if said is None:
        return None
    for start in range(0, len(said), 1 if script.byte_delay else max(1, len(said))):
        writer.write(said[start : start + 1] if script.byte_delay else said)
        await asyncio.sleep(script.byte_delay)
    await writer.drain()
    return None if said.startswith(b"421") or verb == "quit" else said

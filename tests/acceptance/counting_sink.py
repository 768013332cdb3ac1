"""A mail server in a process of its own that counts: every final dot is a line in its log before it is answered.

`python -m tests.acceptance.counting_sink LOG` prints its port. Who writes to `…@silent…` never gets an answer to the
final dot (the connection is closed), to `…@mute…` not the first time.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).parents[2]
EHLO = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
ANSWERS = {b"MAIL": b"250 ok\r\n", b"RCPT": b"250 ok\r\n", b"RSET": b"250 ok\r\n", b"NOOP": b"250 ok\r\n"}
LAST = (b"221", b"421")  # answers after which the server closes the connection
HEADERS = (b"message-id", b"from", b"subject", b"list-unsubscribe")
OPENED, CLOSED, DOT = "open", "closed", "dot"


@dataclass(frozen=True, slots=True)
class Dot:
    """One mail taken. `at`: monotonic seconds, the same clock in all processes of the machine."""

    at: float
    recipient: str
    message_id: str
    sender: str
    subject: str
    unsubscribe: str


@dataclass
class CountingSink:
    """The server as tests see it: what its log says so far."""

    port: int
    log: BinaryIO
    dots: list[Dot] = field(default_factory=list)
    connections: int = 0
    _rest: bytes = b""

    def look(self) -> list[Dot]:
        """All mails taken until now, in their order."""
        *lines, self._rest = (self._rest + self.log.read()).split(b"\n")
        for line in lines:
            kind, *values = line.decode("utf-8", "replace").split("\t")
            self.connections += {OPENED: 1, CLOSED: -1, DOT: 0}[kind]
            if kind == DOT:
                self.dots.append(Dot(float(values[0]), *values[1:]))
        return self.dots

    def count(self) -> int:
        return len(self.look())

    def at_rest(self) -> bool:
        """Whether nobody is connected: what a dead client had sent has been read to its end."""
        self.look()
        return self.connections == 0


@contextmanager
def counting_sink(folder: Path, module: str = __name__) -> Iterator[CountingSink]:
    """Running until the block ends. `module`: one whose main calls `serve`."""
    path = folder / "sink.log"
    path.touch()
    command = [sys.executable, "-m", module, str(path)]
    with path.open("rb") as log, subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield CountingSink(int(process.stdout.readline()), log)
        finally:
            process.terminate()


class Conversation(asyncio.Protocol):
    """One client. Groups of commands are answered in one write."""

    def __init__(self, log: int, muted: set[bytes]) -> None:
        self._log = log
        self._muted = muted
        self._buffer = bytearray()
        self._in_message = False
        self._recipient = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        os.write(self._log, OPENED.encode() + b"\n")
        transport.write(self._greeting())
        if self._greeting().startswith(LAST):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        os.write(self._log, CLOSED.encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers: list[bytes] = []
        while not self._transport.is_closing() and not (answers and answers[-1].startswith(LAST)):
            end = self._buffer.find(b"\r\n.\r\n" if self._in_message else b"\r\n")
            if end < 0:
                break
            part = bytes(self._buffer[:end])
            del self._buffer[: end + (5 if self._in_message else 2)]
            answers.append(self._taken(part) if self._in_message else self._command(part))
        self._answer(b"".join(answers), last=bool(answers) and answers[-1].startswith(LAST))

    def _answer(self, answers: bytes, *, last: bool) -> None:
        self._transport.write(answers)
        if last:
            self._transport.close()

    def _greeting(self) -> bytes:
        return b"220 sink.test\r\n"

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line.partition(b"<")[2].partition(b">")[0]
        elif verb == b"DATA":
            self._in_message = True
            return b"354 go\r\n"
        elif verb == b"EHLO":
            return EHLO
        return ANSWERS.get(verb, b"221 bye\r\n")

    def _taken(self, message: bytes) -> bytes:
        self._in_message = False
        found = dict.fromkeys(HEADERS, b"")
        for line in message.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() in found:
                found[name.lower()] = value.strip()
        values = [b"%.6f" % time.monotonic(), self._recipient, *found.values()]
        os.write(self._log, DOT.encode() + b"\t" + b"\t".join(values) + b"\n")
        if b"@silent" in self._recipient or (b"@mute" in self._recipient and self._recipient not in self._muted):
            self._muted.add(self._recipient)
            self._transport.abort()
            return b""
        return b"250 2.0.0 queued\r\n"


async def serve(path: str, conversation: Callable[[int, set[bytes]], asyncio.Protocol] = Conversation) -> None:
    """`conversation(log, muted)` is one client; `muted` is theirs together."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    muted: set[bytes] = set()
    server = await asyncio.get_running_loop().create_server(lambda: conversation(log, muted), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))

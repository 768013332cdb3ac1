"""A mail server that takes everything, a while later: `python -m bench.slow_sink PORT SECONDS`."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

_HELLO = b"250-slow\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
_ANSWERS = {b"EHLO": _HELLO, b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}
_OK = b"250 2.0.0 ok\r\n"
_END = b"\r\n.\r\n"


class SlowServer(asyncio.Protocol):
    """One connection. What arrives together is answered together."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._buffer = b""
        self._in_message = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._answer(b"220 slow ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = b""
        while (found := self._buffer.find(_END if self._in_message else b"\r\n")) >= 0:
            line = self._buffer[:found]
            self._buffer = self._buffer[found + (len(_END) if self._in_message else 2) :]
            answers += _OK if self._in_message else _ANSWERS.get(line[:4].upper(), _OK)
            self._in_message = not self._in_message and line[:4].upper() == b"DATA"
        if answers:
            self._answer(answers)

    def _answer(self, answers: bytes) -> None:
        if self._transport is not None:
            asyncio.get_running_loop().call_later(self._delay, self._write, answers)

    def _write(self, answers: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answers)


async def serve(port: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: SlowServer(delay), "127.0.0.1", port, backlog=500)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))

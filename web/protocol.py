"""uvicorn's HTTP protocol with a side door: what `web.front` takes is answered without ASGI, whose scope, task and
messages cost more than the whole of tracking.

It keeps uvicorn's own order: one answer after the other, keep-alive and its timer, a graceful stop.
"""

from __future__ import annotations

from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.front import Front


class Taken:
    """Stands where uvicorn keeps the request that it answers; body and disconnection are of no interest to it."""

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.more_body = False
        self.body = bytearray()
        self.message_event = self

    def set(self) -> None:
        """As of an event that nobody awaits."""


def shortened(front: Front) -> type[HttpToolsProtocol]:
    """The protocol whose connections ask `front` first."""

    class Shortened(HttpToolsProtocol):
        def on_message_begin(self) -> None:
            self.url = b""
            self.headers = []
            self.expect_100_continue = False

        def on_headers_complete(self) -> None:
            idle = self.cycle is None or self.cycle.response_complete
            if not (idle and self.parser.get_method() == b"GET" and not self.flow.write_paused):
                self._go_the_ordinary_way()
                return
            before = self.cycle
            taken = Taken(self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive())
            self.cycle = taken  # type: ignore[assignment]

            def answer(head: bytes, body: bytes) -> None:
                taken.response_complete = True
                if taken.disconnected or self.transport.is_closing():
                    return
                closing = b"" if taken.keep_alive else b"connection: close\r\n"
                self.transport.write(b"".join((head, self._dated(), closing, b"\r\n", body)))
                if not taken.keep_alive:
                    self.transport.close()
                self.on_response_complete()

            if not front.serve(self.url, self.headers, answer):
                self.cycle = before
                self._go_the_ordinary_way()

        def _go_the_ordinary_way(self) -> None:
            """With the ASGI scope that its beginning makes."""
            url, headers, expect = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expect
            self.headers += headers
            super().on_headers_complete()

        def _dated(self) -> bytes:
            return _spelled(tuple(self.server_state.default_headers))

    return Shortened


@lru_cache(maxsize=4)
def _spelled(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)

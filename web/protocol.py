"""uvicorn's HTTP protocol with a side door: what `web.front` takes is answered without ASGI, whose scope, task and
messages cost more than the whole of tracking.

It keeps uvicorn's own order: one answer after the other, keep-alive, a graceful stop. One alarm looks after a
connection for all of its requests: to set and to cancel one for each costs as much as to read the request.
"""

from __future__ import annotations

from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.front import Front


class Taken:
    """Stands where uvicorn keeps the request that it answers; body and disconnection are of no interest to it."""

    response_complete = False
    disconnected = False
    more_body = False
    body = b""

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    @property
    def message_event(self) -> Taken:
        return self

    def set(self) -> None:
        """As of an event that nobody awaits."""


class Shortened(HttpToolsProtocol):
    """Its connections ask `front` first."""

    front: Front
    _rested_at = 0.0  # when the last answer was complete, by the loop's clock

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

        if not self.front.serve(self.url, self.headers, answer):
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

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._rested_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has rested for long enough, else look later."""
        if self.transport.is_closing():
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        left = self.timeout_keep_alive - (0.0 if busy else self.loop.time() - self._rested_at)
        if left > 0:
            self._look_in(left)
        else:
            self.transport.close()

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """The alarm looks for itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()


def shortened(front: Front) -> type[Shortened]:
    """The protocol that asks this one."""
    return type("Shortened", (Shortened,), {"front": front})


@lru_cache(maxsize=4)
def _spelled(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in headers)

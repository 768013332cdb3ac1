"""The short cut for pixels and clicks, which are most of all requests: from the parsed head of the request straight to
the tracker, and back once it is committed, past everything that pages need.

What is not the plain case (a query, cookies, a body, a personal link, a table of links that is not in memory, a test
message) goes the ordinary way to `web.pages.public`, which serves the same addresses by the same tracker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from time import perf_counter
from urllib.parse import quote

from runtime.errors import NotFound, Unavailable
from tracking.machines import TELLING
from tracking.tracker import Tracker, Visitor
from web.forgeries import forgeries
from web.i18n import negotiate
from web.metrics import count_request
from web.pages.public import GIF, RETRY_SECONDS, TEST, UNCACHED, known_unknown
from web.security import CONSOLE_CSP, HEADERS, HSTS

_ADDRESS = ":/%#?=@[]!$&'()*+,;"  # signs that an address keeps, as Starlette's redirects have it
_LANGUAGE = b"accept-language"
_READ = {name.encode(): name for name in TELLING}
_NOT_PLAIN = frozenset({b"cookie", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_ROUTES = {b"/o/": "open_pixel", b"/c/": "follow_link"}
_NOTHING = b""

Header = tuple[bytes, bytes]
Answer = Callable[[bytes, bytes], None]  # takes head (without its end) and body


class Front:
    """One a process. `hsts`: the answers say that this site is met over HTTPS alone."""

    def __init__(self, tracker: Tracker, hsts: bool) -> None:
        self._tracker = tracker
        headers = {**UNCACHED, **HEADERS, "Content-Security-Policy": CONSOLE_CSP}
        if hsts:
            headers["Strict-Transport-Security"] = HSTS
        self._common = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()).encode()
        self._pixel = self._head(200, GIF, "image/gif")
        self._later = self._head(503, _NOTHING, "text/plain") + b"retry-after: %d\r\n" % RETRY_SECONDS
        self._on = self._head(302, _NOTHING, "text/plain")

    def serve(self, url: bytes, headers: Sequence[Header], answer: Answer) -> bool:
        """Answer a GET, at once or when the fact is committed; False: this is not for the short cut, and nothing was
        done."""
        route = _ROUTES.get(url[:3])
        if route is None or b"?" in url or b"%" in url or b"/" in url[3:]:
            return False
        visitor = _visitor(headers)
        token = url[3:].decode("latin-1")
        if visitor is None or token == TEST:
            return False
        began = perf_counter()

        def told(status: int, head: bytes, body: bytes) -> None:
            answer(head, body)
            count_request(route, status, perf_counter() - began)

        serve = self._open if route == "open_pixel" else self._follow
        try:
            return serve(token, visitor, told)
        except NotFound:
            return self._unknown(headers, told)
        except Unavailable:
            told(503, self._later, _NOTHING)
            return True

    def _open(self, token: str, visitor: Visitor, told: Callable[[int, bytes, bytes], None]) -> bool:
        def kept(error: BaseException | None) -> None:
            if error is None:
                told(200, self._pixel, GIF)
            else:
                told(503, self._later, _NOTHING)

        self._tracker.open_at_once(token, visitor, kept)
        return True

    def _follow(self, token: str, visitor: Visitor, told: Callable[[int, bytes, bytes], None]) -> bool:
        def kept(error: BaseException | None) -> None:
            if error is None:
                told(302, self._on + b"location: " + _address(target), _NOTHING)
            else:
                told(503, self._later, _NOTHING)

        found = self._tracker.click_at_once(token, visitor, kept)
        if found is None:
            return False
        target = found
        return True

    def _unknown(self, headers: Sequence[Header], told: Callable[[int, bytes, bytes], None]) -> bool:
        body = known_unknown(negotiate([], dict(headers).get(_LANGUAGE, _NOTHING).decode("latin-1")))
        if body is None:
            return False
        head = self._head(404, body, "text/html; charset=utf-8")
        if wait := forgeries.wait():
            asyncio.get_running_loop().call_later(wait, told, 404, head, body)
        else:
            told(404, head, body)
        return True

    def _head(self, status: int, body: bytes, kind: str) -> bytes:
        line = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
        )
        return line.encode() + self._common


def _visitor(headers: Sequence[Header]) -> Visitor | None:
    """Who asks; None for what the short cut has no eye for: a body, or cookies (a language chosen, somebody signed
    in)."""
    agent, said = b"", None
    for name, value in headers:
        if name == b"user-agent":
            agent = value
        elif name in _READ:
            said = {**(said or {}), _READ[name]: value.decode("latin-1")}
        elif name in _NOT_PLAIN:
            return None
    return _common(agent) if said is None else Visitor(agent.decode("latin-1"), "GET", said)


@lru_cache(maxsize=4096)
def _common(agent: bytes) -> Visitor:
    """Who says no more than that."""
    return Visitor(agent.decode("latin-1"))


@lru_cache(maxsize=4096)
def _address(target: str) -> bytes:
    return quote(target, safe=_ADDRESS).encode("latin-1") + b"\r\n"

"""The web process: uvicorn in the house's own loop, with a short cut for pixels and clicks (`web.front`)."""

from __future__ import annotations

import logging
import socket
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from runtime.errors import Unavailable
from runtime.house import House
from web.app import create_app
from web.front import Front
from web.protocol import shortened

log = logging.getLogger(__name__)

LOCAL = ("127.0.0.1", "localhost", "::1")  # where nobody but this machine finds what a mail leads to
GRACE_SECONDS = 10  # for requests under way when the process is asked to stop
KEEP_ALIVE_SECONDS = 75  # longer than proxies keep theirs (nginx: 60): who closes first must not be who gets requests


class Server(uvicorn.Server):
    """Tells the house that it stops, so that streams end before the grace is over."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._house.stopping.set()
        await super().shutdown(sockets)


async def serve(house: House, host: str, port: int) -> None:
    """Answer HTTP on `host:port` until SIGTERM or SIGINT. Raises Unavailable when it cannot listen there."""
    listener = _listen(host, port)
    app = create_app(house)
    config = configured(app, Front(app.state.tracker, hsts=house.settings.public_url.startswith("https:")))
    port = listener.getsockname()[1]
    log.info("listening on http://%s:%s", host, port)
    told = urlsplit(house.settings.public_url)
    if told.hostname in LOCAL and told.port not in (None, port):
        log.warning("mails lead to %s, not here: set HEARTH_PUBLIC_URL to http://%s:%s", told.geturl(), host, port)
    await Server(config, house).serve(sockets=[listener])


def configured(app: ASGIApp, front: Front | None = None) -> uvicorn.Config:
    """How uvicorn serves an app of ours: httptools and uvloop, which set-up installs."""
    return uvicorn.Config(
        app,
        http=shortened(front) if front is not None else "httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from None

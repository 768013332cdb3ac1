"""Work for a client that may hang up: what nobody waits for any more is given up, its statement too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

Endpoint = Callable[[Request], Awaitable[Response]]
HUNG_UP = 499  # as nginx writes it in its log; nobody reads it


def while_awaited(endpoint: Endpoint) -> Endpoint:
    """The endpoint, cancelled when its client closes the connection: PostgreSQL stops what it was asked."""

    @wraps(endpoint)
    async def serve(request: Request) -> Response:
        try:
            await request.body()  # from here on the client has nothing to send but its leave
        except ClientDisconnect:
            return Response(status_code=HUNG_UP)
        doing = asyncio.ensure_future(endpoint(request))
        leaving = asyncio.ensure_future(_leave(request))
        try:
            await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else Response(status_code=HUNG_UP)
        finally:
            for task in (doing, leaving):
                task.cancel()
            await asyncio.gather(doing, leaving, return_exceptions=True)

    return serve


async def _leave(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

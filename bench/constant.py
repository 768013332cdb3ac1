"""A constant answer of Starlette, the yardstick of `bench.tracking`: `python -m bench.constant uvicorn|own PORT`, under
uvicorn as it comes or under the server of `hearth web`."""

from __future__ import annotations

import socket
import sys

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from web.pages.public import GIF
from web.server import configured


async def constant(_: Request) -> Response:
    return Response(GIF, media_type="image/gif")


app = Starlette(routes=[Route("/", constant)])


def main(server: str, port: int) -> None:
    if server == "uvicorn":
        uvicorn.run(app, port=port, access_log=False, log_level="warning")
        return
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    uvloop.run(uvicorn.Server(configured(app)).serve(sockets=[listener]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

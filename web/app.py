"""The web process: one Starlette app over the route table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from runtime.house import House
from tracking.tracker import Tracker
from web.bell import close_bell
from web.errors import handlers
from web.i18n import compile_catalogues
from web.live import close_hub
from web.routes import starlette_routes
from web.security import Shell

STATIC = Path(__file__).parent / "static"


class VersionedFiles(StaticFiles):
    """Static files; those asked for by version (`web.view.static`) may be kept for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            kept = b"v=" in scope["query_string"]
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return response


def create_app(house: House) -> Starlette:
    """The app over an open house; the house is the caller's to close."""
    app = Starlette(
        routes=[*starlette_routes(), Mount("/static", GZipMiddleware(VersionedFiles(directory=STATIC)), name="static")],
        middleware=[Middleware(Shell, hsts=house.settings.public_url.startswith("https:"))],
        exception_handlers=handlers(),
        lifespan=_lifespan,
    )
    app.state.house, app.state.tracker = house, Tracker.over(house)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    compile_catalogues()
    app.state.tracker.collector.open()
    yield
    await app.state.tracker.collector.close()
    await close_hub(app.state.house)
    await close_bell(app.state.house)

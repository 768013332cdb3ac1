"""A copy of everything about a customer, for them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from web.access import MARKETERS, Route, house_of
from web.exports import export_of


async def export(request: Request) -> Response:
    async with house_of(request).database.connect() as conn:
        return await export_of(request, conn, request.path_params["id"])


ROUTES = [Route("/customers/{id:int}/export", export, "customer_export", MARKETERS)]

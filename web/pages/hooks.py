"""What providers report: authenticated by their own scheme, committed before it is answered."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from channels.contract import EventKind
from channels.email.hooks import PROVIDERS, HookEvent, read_hook
from runtime.clock import utc_now
from runtime.errors import NotFound
from tracking.ledger import MessageKey
from tracking.return_paths import ReturnPaths
from tracking.returns import Report, apply_reports
from tracking.strays import Stray, keep_strays
from web.access import MIB, PUBLIC, Route, house_of
from web.models import attempts
from web.throttle import forget_tries

LIMIT = 4 * MIB
_FAILED = frozenset({EventKind.BOUNCED, EventKind.COMPLAINED})
_UNPROVEN = Response("not signed with the secret that is configured here\n", 401, media_type="text/plain")


async def email_hook(request: Request) -> Response:
    """204 once all of it is committed; 401 without the provider's signature, or where no secret is configured."""
    house, name = house_of(request), request.path_params["provider"]
    provider = PROVIDERS.get(name)
    if provider is None:
        raise NotFound("there is no such provider")
    secret, body = dict(house.settings.hook_secrets).get(name), await request.body()
    now, paths = utc_now(), ReturnPaths.of(house)
    # In a thread: a certificate may have to be fetched first.
    if secret is None or not await asyncio.to_thread(provider.authentic, secret, request.headers, body, now):
        return _UNPROVEN
    if provider.greet is not None:
        await asyncio.to_thread(provider.greet, secret, body)
    told = [] if paths is None else [(_message(paths, event), event) for event in read_hook(provider, body)]
    reports = [
        Report(key, event.kind, event.at or now, event.bounce, event.status, event.code, event.words, name)
        for key, event in told
        if key is not None
    ]
    # Other systems may send through the same account: what was delivered for them is no news.
    strays = [_stray(name, event) for key, event in told if key is None and event.kind in _FAILED]
    async with house.database.begin() as conn:
        if provider.once is not None and not await _first_use(conn, name, *provider.once(body), now):
            return _UNPROVEN
        await apply_reports(conn, reports, now)
        await keep_strays(conn, strays, now)
    return Response(status_code=204)


async def _first_use(conn: AsyncConnection, provider: str, signed: str, use: str, now: datetime) -> bool:
    """Whether what was signed is used for the first time, or again for the same: a report may be repeated, but its
    signature carries no other. Kept among the tries that are limited, for longer than the signature is believed."""
    kind = f"hook:{provider}:{signed}"
    await conn.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(kind, 0))))
    uses = set((await conn.execute(select(attempts.c.subject).where(attempts.c.kind == kind))).scalars())
    if not uses:
        await forget_tries(conn, now)
        await conn.execute(insert(attempts).values(kind=kind, subject=use, at=now))
    return uses <= {use}


def _message(paths: ReturnPaths, event: HookEvent) -> MessageKey | None:
    named = next((key for key in map(paths.read_mail, event.names) if key is not None), None)
    return named or paths.read(event.path)


def _stray(provider: str, event: HookEvent) -> Stray:
    said = repr((provider, str(event.kind), event.at, event.names, event.path, event.words))
    key = hashlib.sha256(said.encode(errors="replace")).hexdigest()[:32]
    return Stray(key, provider, str(event.kind), " ".join(filter(None, (*event.names, event.path))), event.words)


ROUTES = [
    Route("/hooks/email/{provider}", email_hook, "email_hook", PUBLIC, methods=("POST",), csrf=False, limit=LIMIT)
]

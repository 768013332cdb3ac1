"""A process's context: everything that it opens once and hands to its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from runtime import migrate
from runtime.database import Database
from runtime.postgres import embedded
from runtime.registry import check_configurations
from runtime.settings import Settings
from runtime.signing import Signer, local_secret
from runtime.workspace import check_secret


@dataclass(frozen=True)
class House:
    """What every process has.

    `stopping` is set once the process was asked to end: long work then comes to a good place and returns.
    """

    settings: Settings
    database: Database
    signer: Signer
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def open_house(settings: Settings, *, upgrade: bool = False, pool_size: int = 10) -> AsyncIterator[House]:
    """Open the database (starting the embedded one where needed) and check that this program and its secret fit it.

    The embedded database is upgraded by whoever comes first, another one only if `upgrade`.
    Raises BadSetting, Unavailable, Conflict (old schema), WrongSecret.
    """
    check_configurations(settings)
    async with database_address(settings) as url:
        step = migrate.upgrade if upgrade or settings.embedded else migrate.require_newest
        await asyncio.to_thread(step, url)
        signer = Signer(settings.secret_key or local_secret(settings.data_dir))
        database = Database(url, pool_size=pool_size)
        try:
            async with database.begin() as conn:
                await check_secret(conn, signer)
            yield House(settings, database, signer)
        finally:
            await database.close()


@asynccontextmanager
async def database_address(settings: Settings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with embedded(settings.data_dir) as url:
        yield url

"""Each campaign by itself, in the ticks that go through many: what goes wrong with one keeps no other waiting."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns
from runtime.errors import Unavailable
from runtime.house import House
from runtime.leader import NotLeader, Term, check_term

log = logging.getLogger(__name__)

Failed = Callable[[int, Exception], Awaitable[bool]]  # campaign, error: whether that is news


@asynccontextmanager
async def apart(
    house: House, term: Term, campaign_id: int, failed: Failed | None = None
) -> AsyncIterator[AsyncConnection]:
    """A transaction about one campaign, by the leader alone. An error in it undoes it, is logged with the campaign's
    name unless `failed` says that it is no news, and ends there, except what concerns all. Raises NotLeader,
    Unavailable."""
    try:
        async with house.database.begin() as conn:
            await check_term(conn, term)
            yield conn
    except (NotLeader, Unavailable):
        raise
    except Exception as error:  # whatever it is, the other campaigns have no part in it
        if failed is None or await failed(campaign_id, error):
            name = await _name(house, campaign_id)
            log.exception("campaign %s (%s) is passed over for now", campaign_id, name)


async def _name(house: House, campaign_id: int) -> str | None:
    async with house.database.connect() as conn:
        return await conn.scalar(select(campaigns.c.name).where(campaigns.c.id == campaign_id))

"""Every ready-made segment finds somebody among the demo's customers."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import activity
from customers.ranks import refresh_ranks
from runtime.clock import local_date
from runtime.settings import Settings
from segments import engine
from segments.context import context_at
from segments.ready_made import ready_made
from segments.recipe_words import TOLD

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.mark.usefixtures("loaded")
async def test_every_recipe_finds_somebody(conn: AsyncConnection, settings: Settings) -> None:
    await refresh_ranks(conn)
    quiet = activity.c.last_order_at < NOW - timedelta(days=300)
    await conn.execute(update(activity).values(last_clicked_at=NOW - timedelta(days=3)).where(quiet))  # by a campaign
    found: Counter[str] = Counter()
    for one in await ready_made(conn, local_date(NOW, settings.timezone)):
        found[one.code] += await engine.count(conn, one.rule, context_at(NOW, settings))
    assert {code for code in TOLD if not found[code]} == set()

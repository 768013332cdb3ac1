"""A small dealer in the test's own database."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.upsert import upsert
from demo.books import POSTED, UPLOADED
from demo.dealer import Dealer, make_dealer
from runtime.clock import utc_now
from runtime.settings import Settings


@pytest.fixture
def small_dealer() -> Dealer:
    return make_dealer(date(2026, 11, 22), households=250)


@pytest.fixture
async def loaded(conn: AsyncConnection, settings: Settings, small_dealer: Dealer) -> Dealer:
    """The small dealer, all of it accepted by the records room."""
    for kind in (*POSTED, *UPLOADED):
        result = await upsert(conn, kind, getattr(small_dealer, kind), settings=settings, now=utc_now())
        assert not result.rejected, (kind, result.rejected[0])
    return small_dealer

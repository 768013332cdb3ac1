from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.settings import Settings
from tests.customers.door import Door


@pytest.fixture
def door(conn: AsyncConnection, settings: Settings) -> Door:
    return Door(conn, settings)

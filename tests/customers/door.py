"""What tests of the records share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.results import UpsertResult
from customers.upsert import upsert
from runtime.settings import Settings

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class Door:
    """Records go in, rows are looked at."""

    def __init__(self, conn: AsyncConnection, settings: Settings) -> None:
        self.conn = conn
        self.settings = settings

    async def __call__(self, kind: str, *records: Any, now: datetime = NOW) -> UpsertResult:
        return await upsert(self.conn, kind, records, settings=self.settings, now=now)

    async def one(self, table: Any, *where: Any) -> Any:
        return (await self.conn.execute(select(table).where(*where))).mappings().one()

    async def all(self, table: Any, *where: Any) -> Any:
        return (await self.conn.execute(select(table).where(*where).order_by(*table.primary_key))).mappings().all()

    async def count(self, table: Any, *where: Any) -> int:
        return (await self.conn.execute(select(func.count()).select_from(table).where(*where))).scalar_one()

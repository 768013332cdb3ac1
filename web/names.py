"""Names of what records call by code: communities, dealers, salespeople."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among


async def names_of(conn: AsyncConnection, table: Table, codes: Iterable[str | None]) -> dict[str, str]:
    """The names that rows of `table` (`customers.models.coded`) give these codes; a code without a name is left out."""
    asked = sorted({code for code in codes if code})
    if not asked:
        return {}
    named = select(table.c.code, table.c.name).where(among(table.c.code, asked), table.c.name.is_not(None))
    return {row.code: row.name for row in await conn.execute(named)}

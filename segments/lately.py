"""How segments moved of late, for a list of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.bulk import among
from segments.models import segment_sizes


@dataclass(frozen=True)
class Moves:
    """How many entered and left; who did because the rule was changed is not counted."""

    entered: int
    left: int


async def moved_since(conn: AsyncConnection, segment_ids: Collection[int], day: date) -> dict[int, Moves]:
    """By segment, in the days from `day` on; segments in which nobody moved are left out."""
    row = segment_sizes.c
    sums = [cast(func.sum(column), BigInteger) for column in (row.entered, row.left)]
    found = await conn.execute(
        select(row.segment_id, *sums)
        .where(among(row.segment_id, segment_ids), row.day >= day, row.by_rule.is_(False))
        .group_by(row.segment_id)
        .having(func.sum(row.entered + row.left) > 0)
    )
    return {segment_id: Moves(entered, left) for segment_id, entered, left in found}

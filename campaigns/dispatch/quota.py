"""What a sender that is being warmed up may still send today, shared by all workers: drawn from its day in portions."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import sender_days
from campaigns.sending.warmup import WarmUp

PORTIONS = 20  # of a day's ceiling, at least; so that little is lost with a worker that dies
LARGEST = 200


class Quota:
    """Messages of `day` that this process may still let go for one sender. `spent`: the day has no more."""

    def __init__(self, name: str, plan: WarmUp, day: date) -> None:
        self.name = name
        self.plan = plan
        self.day = day
        self.left = 0
        self.spent = False

    def turn_to(self, plan: WarmUp, day: date) -> None:
        """Today's plan; what another day or plan left is void."""
        if day != self.day or plan != self.plan:
            self.plan, self.day, self.left, self.spent = plan, day, 0, False

    @property
    def ceiling(self) -> int | None:
        return self.plan.ceiling(self.day)

    @property
    def open(self) -> bool:
        return self.left > 0 or self.ceiling is None

    def take(self) -> None:
        self.left -= 1


async def draw(conn: AsyncConnection, quota: Quota, most: int) -> int:
    """Up to `most` messages of the day; 0: it has no more. The caller commits."""
    ceiling = quota.ceiling
    if ceiling is None:
        return most
    await conn.execute(insert(sender_days).values(**_key(quota), taken=0).on_conflict_do_nothing())
    taken = await _taken(conn, quota)
    portion = max(1, min(most, LARGEST, ceiling // PORTIONS, ceiling - taken))
    if taken >= ceiling:
        return 0
    await _write(conn, quota, taken + portion)
    return portion


async def give_back(conn: AsyncConnection, quota: Quota) -> None:
    """What was drawn and not needed."""
    if quota.left > 0 and quota.ceiling is not None:
        taken = await _taken(conn, quota)
        await _write(conn, quota, max(0, taken - quota.left))
        quota.left = 0


async def _taken(conn: AsyncConnection, quota: Quota) -> int:
    """What all workers took of the day; nobody takes more before the transaction ends."""
    mine = select(sender_days.c.taken).filter_by(**_key(quota))
    return int((await conn.execute(mine.with_for_update())).scalar_one())


async def _write(conn: AsyncConnection, quota: Quota, taken: int) -> None:
    await conn.execute(update(sender_days).filter_by(**_key(quota)).values(taken=taken))


def _key(quota: Quota) -> dict[str, str | date]:
    return {"name": quota.name, "day": quota.day}

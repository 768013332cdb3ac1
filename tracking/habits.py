"""What one customer's own opens and clicks say of them: how engaged they were over time, their hour, their channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Integer, Select, cast, extract, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.engagement import ENGAGEMENT
from customers.models import customers
from tracking.folds import CLICK_POINTS, OPEN_POINTS
from tracking.models import events, messages

LOOKED_BACK = timedelta(days=365)
FEWEST_POINTS = 3
"""One open tells no habit; a click, or three opens, begin to."""


@dataclass(frozen=True)
class Habits:
    """`hour`: of the day in the workspace's zone, at which they do most; `channel`: on which; None: not known."""

    hour: int | None
    channel: str | None


async def habits_of(conn: AsyncConnection, customer_id: int, now: datetime, zone: str) -> Habits:
    """From a year of their own opens and clicks, a click worth three opens; on a tie the later used one."""
    row = events.c
    hour = cast(extract("hour", func.timezone(zone, row.at)), Integer).label("hour")
    asked = (
        select(hour, row.channel, row.kind, func.count().label("times"), func.max(row.at).label("last"))
        .where(row.customer_id.in_(_ids(customer_id)), row.kind.in_(["opened", "clicked"]), row.machine.is_(False))
        .where(row.at > now - LOOKED_BACK, row.at <= now)
        .group_by(hour, row.channel, row.kind)
    )
    hours: Counter[int] = Counter()
    channels: Counter[str] = Counter()
    for each in sorted((await conn.execute(asked)).all(), key=lambda found: found.last, reverse=True):
        points = each.times * (CLICK_POINTS if each.kind == "clicked" else OPEN_POINTS)
        hours[each.hour] += points
        if each.channel is not None:
            channels[each.channel] += points
    if sum(hours.values()) < FEWEST_POINTS:
        return Habits(None, None)
    return Habits(hours.most_common(1)[0][0], channels.most_common(1)[0][0] if channels else None)


async def engagement_at(conn: AsyncConnection, customer_id: int, moments: Sequence[datetime]) -> list[float]:
    """The engagement score as it was at each of `moments`, which rise: what was earned until then, faded since."""
    row = messages.c
    answered = select(row.opened_at, row.clicked_at).where(
        row.customer_id.in_(_ids(customer_id)), row.opened_at.is_not(None)
    )
    earned = []
    for opened, clicked in await conn.execute(answered):
        earned.append((opened, OPEN_POINTS))
        if clicked is not None:
            earned.append((clicked, CLICK_POINTS))
    return _faded(sorted(earned), moments)


def _faded(earned: Sequence[tuple[datetime, int]], moments: Sequence[datetime]) -> list[float]:
    found, place, until = [], 0, None
    for moment in moments:
        while place < len(earned) and earned[place][0] <= moment:
            at, points = earned[place]
            own = ENGAGEMENT.earned(points, at)
            until = own if until is None else ENGAGEMENT.joined(until, own)
            place += 1
        found.append(float(ENGAGEMENT.value(until, moment) or 0))
    return found


def _ids(customer_id: int) -> Select[tuple[int]]:
    """Of a customer and those merged into them: what both had stays with the old id."""
    row = customers.c
    return select(row.id).where(or_(row.id == customer_id, row.merged_into == customer_id))

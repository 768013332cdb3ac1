"""What people asked for themselves: nothing about a topic, or at most so many messages a week. Every campaign obeys.

Somebody's own frequency counts over all channels together, as the workspace's caps do (campaigns/respect/caps.py).
Where nobody has asked for one, no statement looks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Text, and_, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.respect.caps import Others, counted_meanwhile
from campaigns.respect.periods import PERIODS
from campaigns.respect.rules import ALL, Cap
from customers.bulk import among
from customers.models import frequency_wishes
from customers.topics import declining

FREQUENCY_WISH = "frequency_wish"
TOPIC = "topic"
ANY_PERIOD = tuple(Cap(ALL, period, 1) for period in PERIODS)
"""Stands for every wish that there could be: how far back to look, and at which channels."""


def topic_reason(key: str) -> str:
    """`topic: offers`, as messages keep it."""
    return f"{TOPIC}: {key}"


async def wishes_in_use(conn: AsyncConnection) -> bool:
    """Whether anybody at all has asked for a frequency of their own."""
    return (await conn.execute(select(frequency_wishes.c.period).limit(1))).first() is not None


async def wishing(conn: AsyncConnection, ids: Sequence[int]) -> frozenset[int]:
    """Who of these has asked for a frequency of their own."""
    if not await wishes_in_use(conn):
        return frozenset()
    row = frequency_wishes.c
    return frozenset((await conn.execute(select(row.customer_id).where(among(row.customer_id, ids)))).scalars().all())


async def declined(conn: AsyncConnection, topic: str, ids: Sequence[int]) -> dict[int, str]:
    """Who of these wants nothing about the topic, and the reason."""
    mine = declining(topic)
    asked = mine.where(among(mine.selected_columns[0], ids))
    return {row.customer_id: topic_reason(topic) for row in await conn.execute(asked)}


def wish_reached(at: ColumnElement[datetime], spans: Any) -> ColumnElement[Any]:
    """Over the contacts of one person, grouped by their wish too: the reason where as many as they want are there, else
    NULL."""
    wish = frequency_wishes.c
    return case(
        *(
            (
                and_(
                    wish.period == period,
                    func.count().filter(and_(at >= spans[f"{period}_from"], at < spans[f"{period}_to"])) >= wish.most,
                ),
                literal(f"{FREQUENCY_WISH}: {period}", Text),
            )
            for period in PERIODS
        )
    )


async def wishes_reached_meanwhile(
    conn: AsyncConnection, run_id: int, zones: Mapping[int, ZoneInfo], others: Others, now: datetime
) -> dict[int, str]:
    """Who of these people must not get the message of `run_id` any more, since they have had as many as they want."""
    if not others.states or not zones:
        return {}
    wish = frequency_wishes.c
    counted = counted_meanwhile(
        run_id,
        zones,
        others,
        now,
        lambda channel, at, asked: wish_reached(at, asked),
        lambda asked: (frequency_wishes, wish.customer_id == asked.customer_id),
        (wish.most, wish.period),
    )
    return {row.customer_id: row.reason for row in await conn.execute(counted)}

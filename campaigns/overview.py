"""Campaigns at a glance: what went out lately and what came of it, what is under way, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns, schedules
from campaigns.states import State
from campaigns.store import Campaign, campaign_of, campaign_rows


@dataclass(frozen=True)
class Day:
    """A day of the workspace, `2026-11-22`, and the messages sent on it, with what people did with them since."""

    name: str
    sent: int
    opened: int
    clicked: int


@dataclass(frozen=True)
class Coming:
    """A due time to come."""

    campaign_id: int
    name: str
    at: datetime


async def days(conn: AsyncConnection, *, now: datetime, timezone: str, span: int = 30) -> list[Day]:
    """The last `span` days, today last; days without messages are there too."""
    values = {"now": now, "zone": timezone, "span": span - 1}
    return [Day(*row) for row in await conn.execute(_DAYS, values)]


async def latest(conn: AsyncConnection, limit: int = 5) -> list[Campaign]:
    """The campaigns that were launched last; those under way first."""
    moving = campaigns.c.state.in_([State.PREPARING, State.SENDING, State.PAUSED])
    statement = campaign_rows().where(campaigns.c.launched_at.is_not(None))
    rows = await conn.execute(statement.order_by(moving.desc(), campaigns.c.launched_at.desc()).limit(limit))
    return [campaign_of(row) for row in rows]


async def coming(conn: AsyncConnection, limit: int = 5) -> list[Coming]:
    """The next due times of campaigns that were launched."""
    statement = (
        select(campaigns.c.id, campaigns.c.name, schedules.c.next_at)
        .join(schedules, schedules.c.campaign_id == campaigns.c.id)
        .where(schedules.c.active, schedules.c.next_at.is_not(None))
        .order_by(schedules.c.next_at)
        .limit(limit)
    )
    return [Coming(*row) for row in await conn.execute(statement)]


_DAYS = text("""
    WITH span AS (
        SELECT generate_series(date_trunc('day', timezone(:zone, :now)) - make_interval(days => :span),
            date_trunc('day', timezone(:zone, :now)), interval '1 day') AS day
    ), sums AS (
        SELECT date_trunc('day', timezone(:zone, sent_at)) AS day, count(*) AS sent, count(opened_at) AS opened,
            count(clicked_at) AS clicked
        FROM messages WHERE sent_at >= timezone(:zone, (SELECT min(day) FROM span)) AND sent_at <= :now
        GROUP BY 1
    )
    SELECT to_char(span.day, 'YYYY-MM-DD'), coalesce(sent, 0), coalesce(opened, 0), coalesce(clicked, 0)
    FROM span LEFT JOIN sums USING (day) ORDER BY span.day
""")

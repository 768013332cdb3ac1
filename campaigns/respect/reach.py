"""How many people the contact rules concern at this moment, for whoever sets them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.respect.caps import calendar, contacts, earliest, is_full
from campaigns.respect.clocks import zone_name, zone_of, zones_in_use
from campaigns.respect.rules import Cap, ContactRules
from campaigns.respect.service import with_open_case
from customers.models import customers


@dataclass(frozen=True)
class Reach:
    """`held_out` is about right (a share of all); the others are counted. `zones`: how many time zones there are."""

    people: int
    held_out: int
    open_cases: int
    full: Mapping[Cap, int]
    zones: int


async def reach(conn: AsyncConnection, rules: ContactRules, timezone: str, now: datetime) -> Reach:
    """By what the ledger and the records say now. `timezone`: the workspace's."""
    alive = select(func.count()).select_from(customers).where(customers.c.merged_into.is_(None))
    people = int((await conn.execute(alive)).scalar_one())
    zones = await zones_in_use(conn, timezone)
    return Reach(
        people,
        round(people * rules.holdout_percent / 100),
        await _open_cases(conn, rules, now),
        await _full(conn, rules, zones, timezone, now),
        len(zones),
    )


async def _open_cases(conn: AsyncConnection, rules: ContactRules, now: datetime) -> int:
    if rules.service_hold_days == 0:
        return 0
    found = with_open_case(now, rules.service_hold_days).subquery()
    return int((await conn.execute(select(func.count()).select_from(found))).scalar_one())


async def _full(
    conn: AsyncConnection, rules: ContactRules, zones: list[str], timezone: str, now: datetime
) -> dict[Cap, int]:
    if not rules.caps:
        return {}
    since = earliest(rules.caps, [zone_of(name, timezone) for name in zones], now)
    known, days = contacts(None, rules.caps, since, now), calendar(zones, timezone, now, now)
    today = and_(days.c.zone == zone_name(timezone), days.c.day_from <= now, days.c.day_to > now)
    columns: list[Any] = [
        cast(is_full(cap, known.c.channel, known.c.at, days.c), Integer).label(f"cap{place}")
        for place, cap in enumerate(rules.caps)
    ]
    joined = known.join(customers, customers.c.id == known.c.customer_id).join(days, today)
    each = select(*columns).select_from(joined).group_by(known.c.customer_id).subquery()
    totals = (await conn.execute(select(*(func.coalesce(func.sum(column), 0) for column in each.c)))).one()
    return dict(zip(rules.caps, map(int, totals), strict=True))

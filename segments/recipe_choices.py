"""What a ready-made segment is offered for: categories, communities and channels that this workspace has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Float, Select, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import appliances, communities, customers
from customers.reference import Category, categories_in_use, list_categories
from runtime.registry import channel_kinds
from segments.recipes import Per
from segments.vocabulary import CHANNELS, Words

_COMMUNITIES = 5
_SEEN = 40_000  # appliances that are looked at
_SOON = timedelta(days=180)


@dataclass(frozen=True)
class Choice:
    value: str
    words: Words


async def choices(conn: AsyncConnection, per: Per, today: date) -> Sequence[Choice]:
    """What is offered by itself: categories in use, channels, communities where the most is worn out `today`."""
    if per is Per.CHANNEL:
        return [_channel(name) for name in channel_kinds()]
    if per is Per.COMMUNITY:
        rows = await conn.execute(await _worn_out(conn, today))
        return await _communities(conn, [row.community for row in rows])
    used = await categories_in_use(conn, with_consumables=per is Per.CONSUMABLES)
    return [_category(one) for one in used if per is Per.CONSUMABLES or one.service_years is not None]


async def known_choice(conn: AsyncConnection, per: Per, value: str) -> Choice | None:
    """The choice of that value, also of one that is not offered by itself; None where there is no such."""
    if per is Per.CHANNEL:
        return _channel(value) if value in channel_kinds() else None
    if per is Per.COMMUNITY:
        return next(iter(await _communities(conn, [value])), None)
    return next((_category(one) for one in await list_categories(conn) if one.code == value), None)


def _channel(name: str) -> Choice:
    return Choice(name, CHANNELS.get(name, (name, name)))


def _category(category: Category) -> Choice:
    return Choice(category.code, (category.name, category.name_zh or category.name))


async def _communities(conn: AsyncConnection, codes: Sequence[str]) -> list[Choice]:
    rows = await conn.execute(select(communities.c.code, communities.c.name).where(communities.c.code.in_(codes)))
    names = {row.code: row.name or row.code for row in rows}
    return [Choice(code, (names[code], names[code])) for code in codes if code in names]


async def _worn_out(conn: AsyncConnection, today: date) -> Select[tuple[str]]:
    """Where most of the appliances stand that serve no longer, or half a year at most; by a sample of many."""
    recorded = await conn.scalar(text("SELECT reltuples FROM pg_class WHERE oid = 'appliances'::regclass")) or 0
    share = min(100.0, 100.0 * _SEEN / max(recorded, 1))
    seen = appliances.tablesample(func.system(literal(share, Float)), seed=literal(1, Float), name="seen")
    return (
        select(customers.c.community)
        .join_from(seen, customers, customers.c.id == seen.c.customer_id)
        .where(seen.c.status == "in_use", seen.c.expires_on <= today + _SOON, customers.c.community.is_not(None))
        .group_by(customers.c.community)
        .order_by(func.count().desc(), customers.c.community)
        .limit(_COMMUNITIES)
    )

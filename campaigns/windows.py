"""How long an answer to a message is held to have led to an order, and what messages cost: one row of the workspace,
and a campaign's own costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import attribution_rules, campaign_costs
from channels.registry import channels
from runtime.errors import Invalid, Problem

LONGEST = 365
MOST = Decimal(10) ** 9
_ROW = 1


@dataclass(frozen=True)
class Windows:
    """Days before an order; `costs`: of one message by channel, in the workspace's currency."""

    click_days: int = 30
    open_days: int = 3
    costs: Mapping[str, Decimal] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        costs = {channel: str(cost) for channel, cost in sorted(self.costs.items())}
        return {"click_days": self.click_days, "open_days": self.open_days, "costs": costs}


@dataclass(frozen=True)
class OwnCosts:
    """Of a campaign. `fixed`: whatever is sent; `per_message`: None for what its channel costs."""

    fixed: Decimal = Decimal(0)
    per_message: Decimal | None = None


async def windows_now(conn: AsyncConnection) -> Windows:
    """As they stand."""
    row = (await conn.execute(select(attribution_rules))).one_or_none()
    if row is None:
        return Windows()
    return Windows(row.click_days, row.open_days, {name: Decimal(cost) for name, cost in row.costs.items()})


async def save_windows(conn: AsyncConnection, given: Mapping[str, Any], *, by: str | None, now: datetime) -> Windows:
    """`click_days`, `open_days` (0: opens count for nothing) and `costs` by channel. Raises Invalid by path."""
    problems: list[Problem] = []
    known = {channel.name for channel in channels()}
    windows = Windows(
        _days(given, "click_days", 1, problems),
        _days(given, "open_days", 0, problems),
        {name: _money(cost, f"costs.{name}", problems) for name, cost in given.get("costs", {}).items()},
    )
    problems += [Problem(f"costs.{name}", "unknown channel") for name in windows.costs if name not in known]
    if problems:
        raise Invalid(problems)
    values = {**windows.to_json(), "updated_by": by, "updated_at": now}
    statement = insert(attribution_rules).values(id=_ROW, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))
    return windows


async def own_costs(conn: AsyncConnection, campaign_id: int) -> OwnCosts:
    row = (await conn.execute(select(campaign_costs).where(campaign_costs.c.campaign_id == campaign_id))).one_or_none()
    return OwnCosts() if row is None else OwnCosts(row.fixed, row.per_message)


async def save_own_costs(
    conn: AsyncConnection, campaign_id: int, fixed: Any, per_message: Any, *, by: str | None, now: datetime
) -> OwnCosts:
    """Numbers or their text; an empty `per_message` is what the channel costs. Raises Invalid by path."""
    problems: list[Problem] = []
    costs = OwnCosts(
        _money(fixed or 0, "fixed", problems),
        None if per_message in (None, "") else _money(per_message, "per_message", problems),
    )
    if problems:
        raise Invalid(problems)
    values = {"fixed": costs.fixed, "per_message": costs.per_message, "updated_by": by, "updated_at": now}
    statement = insert(campaign_costs).values(campaign_id=campaign_id, **values)
    await conn.execute(statement.on_conflict_do_update(index_elements=["campaign_id"], set_=values))
    return costs


async def costs(conn: AsyncConnection, sent: Mapping[int, int]) -> dict[int, Decimal]:
    """What each of these campaigns cost, with so many messages sent."""
    values = {"ids": list(sent), "sent": list(sent.values())}
    return {row.id: row.cost for row in await conn.execute(_COSTS, values)}


def _days(given: Mapping[str, Any], name: str, least: int, problems: list[Problem]) -> int:
    value = given.get(name, getattr(Windows(), name))
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LONGEST:
        problems.append(Problem(name, f"must be a number of days from {least} to {LONGEST}"))
        return least
    return value


def _money(value: Any, path: str, problems: list[Problem]) -> Decimal:
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST:
        problems.append(Problem(path, "must be an amount of money, not below 0"))
        return Decimal(0)
    return amount.quantize(Decimal("0.0001"))


_COSTS = text("""
    SELECT given.id, coalesce(own.fixed, 0) + given.sent * coalesce(own.per_message,
               (SELECT CAST(rules.costs ->> c.channel AS numeric) FROM attribution_rules rules), 0) AS cost
    FROM unnest(CAST(:ids AS bigint[]), CAST(:sent AS bigint[])) AS given(id, sent)
    JOIN campaigns c ON c.id = given.id LEFT JOIN campaign_costs own ON own.campaign_id = c.id
""")

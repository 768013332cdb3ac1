"""The workspace at a glance: customers, what they own and how old it is, what they ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from customers.reachable import reachable
from runtime.registry import ChannelKind


@dataclass(frozen=True)
class Totals:
    """`orders` and `revenue` (amount − refunded) are of completed and partly refunded orders since `since`."""

    customers: int
    reachable: int
    appliances: int
    orders: int
    revenue: Decimal


@dataclass(frozen=True)
class Month:
    """A month of the workspace, `2026-11`, with its orders and revenue."""

    name: str
    orders: int
    revenue: Decimal


@dataclass(frozen=True)
class Ages:
    """Appliances in use of one category by age in whole years, 0 to 14; the last place counts the older ones too."""

    category: str
    years: Sequence[int]


OLDEST = 15


async def totals(
    conn: AsyncConnection, *, since: datetime, now: datetime, channel: ChannelKind, salesperson: str | None = None
) -> Totals:
    """Figures of the whole workspace, or of one salesperson's customers; `reachable` over `channel`."""
    row = (await conn.execute(_of(_TOTALS, salesperson), {"since": since, "now": now, **_named(salesperson)})).one()
    reached = select(func.count()).select_from(customers).where(customers.c.merged_into.is_(None))
    if salesperson is not None:
        reached = reached.where(customers.c.salesperson == salesperson)
    count = await conn.scalar(reached.where(reachable(channel, now)))
    return Totals(reachable=count or 0, **row._mapping)


async def months(conn: AsyncConnection, *, now: datetime, timezone: str, salesperson: str | None = None) -> list[Month]:
    """Orders of the last twelve months, the present one last; months without any are there too."""
    values = {"now": now, "zone": timezone, **_named(salesperson)}
    return [Month(*row) for row in await conn.execute(_of(_MONTHS, salesperson), values)]


async def ages(conn: AsyncConnection, *, today: date, salesperson: str | None = None, most: int = 5) -> list[Ages]:
    """Ages of appliances in use of the `most` frequent categories, the most frequent first."""
    counted: dict[str, list[int]] = {}
    values = {"today": today, "oldest": OLDEST - 1, **_named(salesperson)}
    for row in await conn.execute(_of(_AGES, salesperson), values):
        counted.setdefault(row.category, [0] * OLDEST)[row.age] = row.n
    ranked = sorted(counted.items(), key=lambda each: -sum(each[1]))
    return [Ages(category, years) for category, years in ranked[:most]]


def _of(statement: str, salesperson: str | None) -> TextClause:
    """Of everybody, or of one salesperson's customers: each is planned by itself, the few by their index."""
    return text(statement.format(own=_ALL if salesperson is None else f"{_ALL} AND c.salesperson = :salesperson"))


def _named(salesperson: str | None) -> dict[str, str]:
    return {} if salesperson is None else {"salesperson": salesperson}


_ALL = "c.merged_into IS NULL"
_COUNTED = "o.status IN ('completed', 'partly_refunded')"

_TOTALS = f"""
    SELECT
        (SELECT count(*) FROM customers c WHERE {{own}}) AS customers,
        (SELECT count(*) FROM appliances a JOIN customers c ON c.id = a.customer_id
            WHERE {{own}} AND a.status = 'in_use') AS appliances,
        count(*) AS orders, coalesce(sum(o.amount - o.refunded), 0) AS revenue
    FROM orders o JOIN customers c ON c.id = o.customer_id
    WHERE {{own}} AND {_COUNTED} AND o.ordered_at >= :since AND o.ordered_at <= :now
"""  # noqa: S608 -- put together from this module's own words

_MONTHS = f"""
    WITH span AS (
        SELECT generate_series(date_trunc('month', timezone(:zone, :now)) - interval '11 months',
            date_trunc('month', timezone(:zone, :now)), interval '1 month') AS month
    ), sums AS (
        SELECT date_trunc('month', timezone(:zone, o.ordered_at)) AS month, count(*) AS n,
            sum(o.amount - o.refunded) AS revenue
        FROM orders o JOIN customers c ON c.id = o.customer_id
        WHERE {{own}} AND {_COUNTED} AND o.ordered_at <= :now
            AND o.ordered_at >= timezone(:zone, (SELECT min(month) FROM span))
        GROUP BY 1
    )
    SELECT to_char(span.month, 'YYYY-MM'), coalesce(sums.n, 0), coalesce(sums.revenue, 0)
    FROM span LEFT JOIN sums USING (month) ORDER BY span.month
"""  # noqa: S608

_AGES = """
    SELECT a.category, greatest(0, least(:oldest, CAST(extract(year FROM age(CAST(:today AS date),
        coalesce(a.installed_on, a.purchased_on))) AS int))) AS age, count(*) AS n
    FROM appliances a JOIN customers c ON c.id = a.customer_id
    WHERE {own} AND a.status = 'in_use' AND a.category IS NOT NULL
        AND coalesce(a.installed_on, a.purchased_on) IS NOT NULL
    GROUP BY 1, 2
"""

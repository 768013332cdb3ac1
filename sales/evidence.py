"""The records behind a number of a score, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import salespeople
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound, Problem
from sales.facts import OWN_OF_ONE, PARTS, RECORDS_OF_ONE
from sales.period import Period


@dataclass(frozen=True)
class Evidence:
    """One record that a part looked at, and whether it counts (`sales.facts` says what a record of each part is).

    `item`: an order's number where there is one. `at`: when it was opened, clicked or ordered, else sent. `amount`:
    the margin of an order, what was ordered after a click.
    """

    customer_id: int
    external_id: str | None
    name: str | None
    item: str | None
    at: datetime | None
    counts: bool
    amount: Decimal | None


@dataclass(frozen=True)
class EvidencePage:
    """`next` is the cursor of the page after it, None on the last."""

    items: Sequence[Evidence]
    next: str | None


async def evidence(
    conn: AsyncConnection, salesperson_id: int, period: Period, part: str, cursor: str | None = None, limit: int = 100
) -> EvidencePage:
    """What `part` of a score was counted from, by customer. Raises NotFound; Invalid for another part or cursor."""
    if part not in RECORDS_OF_ONE:
        raise Invalid(Problem("part", f"unknown part {part!r}: one of {', '.join(PARTS)}"))
    code = await conn.scalar(select(salespeople.c.code).where(salespeople.c.id == salesperson_id))
    if code is None:
        raise NotFound(f"there is no salesperson {salesperson_id}")
    customer, item = _position(cursor)
    values = {"start": period.start, "end": period.end, "now": utc_now(), "code": code}
    rows = (await conn.execute(_LISTS[part], {**values, "customer": customer, "item": item, "limit": limit + 1})).all()
    items = [Evidence(**{**row._mapping, "item": row.item or None}) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return EvidencePage(items, f"{last.customer_id}.{last.item}" if last else None)


def _position(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return -1, ""
    customer, point, item = cursor.partition(".")
    if not point or not (customer.isascii() and customer.isdigit()) or len(customer) > 18 or "\0" in item:
        raise Invalid(Problem("cursor", "not a cursor that this list gave out"))
    return int(customer), item


_LISTS = {
    part: text(f"""
        WITH {OWN_OF_ONE}
        SELECT r.customer_id, c.external_id, c.name, r.item, r.at, r.counts, r.amount
        FROM ({records}) r JOIN customers c ON c.id = r.customer_id
        WHERE r.salesperson = :code AND (r.customer_id, r.item) > (:customer, :item)
        ORDER BY r.customer_id, r.item LIMIT :limit
    """)  # noqa: S608 -- put together from this room's own words
    for part, records in RECORDS_OF_ONE.items()
}

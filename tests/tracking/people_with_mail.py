"""People with messages, written straight into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import activity, customers
from runtime.clock import utc_now
from tracking.ledger import MessageKey
from tracking.models import link_tables, messages

SENT_AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


async def make_people(conn: AsyncConnection, count: int, **values: Any) -> list[int]:
    """`count` customers with their rows of activity; answers their ids."""
    rows = [{"name": f"Person {number}", **values} for number in range(count)]
    ids = list((await conn.execute(insert(customers).returning(customers.c.id), rows)).scalars())
    await conn.execute(insert(activity), [{"customer_id": person} for person in ids])
    return ids


async def make_messages(
    conn: AsyncConnection, people: Sequence[int], *, run_id: int = 1, state: str = "sent", **values: Any
) -> list[MessageKey]:
    """One e-mail of `run_id` (campaign 10 × run) for each of `people`."""
    row = {"run_id": run_id, "step": 0, "campaign_id": 10 * run_id, "channel": "email", "batch": 0, "state": state}
    row["sent_at"] = SENT_AT if state in ("sent", "delivered", "bounced") else None
    await conn.execute(insert(messages), [{"customer_id": person, **row, **values} for person in people])
    return [MessageKey(person, run_id) for person in people]


async def make_mailed(conn: AsyncConnection, count: int, links: Sequence[str]) -> list[MessageKey]:
    """`count` customers who were sent a mail with `links` an hour ago, in run 1."""
    people = await make_people(conn, count, email="somebody@example.com")
    await conn.execute(insert(link_tables), {"run_id": 1, "links": list(links)})
    return await make_messages(conn, people, sent_at=utc_now() - timedelta(hours=1))


async def message(conn: AsyncConnection, key: MessageKey) -> Any:
    """The row of a message."""
    at_key = (messages.c.customer_id == key.customer_id) & (messages.c.run_id == key.run_id)
    return (await conn.execute(select(messages).where(at_key, messages.c.step == key.step))).one()


async def activity_of(conn: AsyncConnection, person: int) -> Any:
    return (await conn.execute(select(activity).where(activity.c.customer_id == person))).one()


@pytest.fixture
def later() -> datetime:
    """An hour after the messages were sent."""
    return datetime(2026, 11, 20, 10, 0, tzinfo=UTC)

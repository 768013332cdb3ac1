"""What a web process keeps for tracking: the collector of facts and the link tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consents import MARKETING
from runtime.database import Database
from runtime.errors import NotFound
from tracking.collector import Collector
from tracking.ledger import MessageKey
from tracking.links import LinkTables


@dataclass(frozen=True)
class Tracker:
    """One a process."""

    collector: Collector
    links: LinkTables

    @classmethod
    def over(cls, database: Database) -> Tracker:
        return cls(Collector(database), LinkTables(database))


@dataclass(frozen=True)
class Standing:
    """A message as its recipient's own page needs it: where it went, by which channel, and their word about such.

    `key` names the customer who has it now: after a merge the survivor. `granted` None: they never said. `variant`: of
    an experiment's test, None outside of one.
    """

    key: MessageKey
    sent_at: datetime | None
    channel: str
    address: str | None
    granted: bool | None
    variant: int | None = None


async def standing(conn: AsyncConnection, key: MessageKey) -> Standing:
    """Raises NotFound where the message is gone (erased at its recipient's request)."""
    values = {"customer": key.customer_id, "run": key.run_id, "step": key.step}
    row = (await conn.execute(_STANDING, values)).one_or_none()
    if row is None:
        raise NotFound("this message was deleted from our records")
    return Standing(
        key._replace(customer_id=row.person), row.sent_at, row.channel, row.address, row.granted, row.variant
    )


_STANDING = text(f"""
    SELECT c.person, m.sent_at, m.channel, m.address, s.granted, m.variant
    FROM (SELECT id, coalesce(merged_into, id) AS person FROM customers WHERE id = :customer) c
    JOIN messages m ON m.customer_id IN (c.id, c.person) AND m.run_id = :run AND m.step = :step
    LEFT JOIN standing_consents s ON s.customer_id = c.person AND s.channel = m.channel AND s.purpose = '{MARKETING}'
    ORDER BY m.customer_id = c.id DESC LIMIT 1
""")  # noqa: S608 -- our own word

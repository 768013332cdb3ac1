"""After a large import: its tables are put in order, so that whoever asks next gets good plans.

Autovacuum would do it again and again while they grow, and each time from their beginning. Where an import of customers
turns out to be large, they are put in order once while that takes a moment, and then only at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Table, text

from customers import models
from runtime.database import Database
from runtime.tidy import GREAT, tidy

if TYPE_CHECKING:
    from customers.imports.run import Job, Progress

_PEOPLE: Sequence[Table] = (
    *(models.customers, models.activity, models.identities, models.contact_addresses),
    *(models.standing_consents, models.consents, models.households),
)
_RECORDS: Mapping[str, Sequence[Table]] = {
    "orders": (models.orders, models.order_items, models.record_numbers),
    "appliances": (models.appliances, models.record_numbers),
    "service_visits": (models.service_visits, models.appliances, models.record_numbers),
}


_YOUNG = text("SELECT reltuples < :few FROM pg_class WHERE oid = CAST('customers' AS regclass)")


def is_growing(job: Job, done: Progress) -> bool:
    """Whether the import adds many customers, and hardly changes any: there is nothing that could be freed meanwhile,
    and `tidy_after` will follow."""
    return job.kind == "customers" and not job.dry_run and done.created >= max(GREAT, 2 * done.updated)


async def tidy_young(database: Database) -> None:
    """Where there were few customers so far."""
    async with database.connect() as conn:
        young = await conn.scalar(_YOUNG, {"few": 2 * GREAT})
    if young:
        await tidy(database, _PEOPLE)


async def tidy_after(database: Database, job: Job, done: Progress) -> None:
    """Where the import changed much; records may bring new customers along."""
    if not job.dry_run and done.created + done.updated >= GREAT:
        await tidy(database, [*_PEOPLE, *_RECORDS.get(job.kind, ())])

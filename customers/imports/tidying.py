"""After a large import: its tables are put in order, so that whoever asks next gets good plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Table

from customers import models
from customers.imports.run import Job, Progress
from runtime.database import Database
from runtime.tidy import GREAT, tidy

_PEOPLE: Sequence[Table] = (
    *(models.customers, models.activity, models.identities, models.contact_addresses),
    *(models.standing_consents, models.consents, models.households),
)
_RECORDS: Mapping[str, Sequence[Table]] = {
    "orders": (models.orders, models.order_items, models.record_numbers),
    "appliances": (models.appliances, models.record_numbers),
    "service_visits": (models.service_visits, models.appliances, models.record_numbers),
}


async def tidy_after(database: Database, job: Job, done: Progress) -> None:
    """Where the import changed much; records may bring new customers along."""
    if not job.dry_run and done.created + done.updated >= GREAT:
        await tidy(database, [*_PEOPLE, *_RECORDS.get(job.kind, ())])

"""What this room declares for every process: the jobs that its workers run, and what it forgets in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete

from runtime.house import House
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from web import confirmations, late_mails, report_mails, resets
from web.models import KEYS_KEPT, idempotency_keys

JOBS = (resets.send_reset, confirmations.answer_signup, report_mails.mail_report, late_mails.mail_late)


def install() -> None:
    """Importing this module has declared the jobs."""


@tick(every=timedelta(hours=1))
async def forget_what_is_over(house: House, term: Term, now: datetime) -> None:
    """The answers kept for Idempotency-Keys of more than a day ago."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await conn.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < now - KEYS_KEPT))

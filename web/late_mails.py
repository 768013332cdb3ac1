"""Follow-ups that became late reach the team's manager by mail: a digest, each of them once.

A team is a dealer. Its managers are the admins and marketers who are linked to a salesperson of it (the user's own
code); where a team has none, and for whoever belongs to no dealer, all admins are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from sales.models import follow_up_states
from sales.rules import rules_of
from web.follow_up_words import rule_words
from web.i18n import SOURCE, use_language
from web.mails import render_mail, send_mail
from web.mails.late import context
from web.models import users

EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Digest:
    """What one manager was not told of yet; `until`: the last of them became late then."""

    email: str
    language: str | None
    rows: list[dict[str, Any]]
    until: datetime


@job("web.mail_late", retry=Backoff(tries=5, base=timedelta(minutes=5)))
async def mail_late(house: House, *, user_id: int) -> None:
    """Tell a manager; noted only once the mail is taken over."""
    async with house.database.connect() as conn:
        found = await digest(conn, user_id, house.settings.timezone)
    if found is None:
        return
    use_language(found.language or SOURCE)
    mail = render_mail("late", context(house.settings, found.rows))
    await send_mail(house.settings, found.email, mail, f"late {user_id} {found.until.isoformat()}", utc_now())
    async with house.database.begin() as conn:
        told = insert(follow_up_states).values(name=_name(user_id), swept_at=found.until)
        await conn.execute(told.on_conflict_do_update(index_elements=["name"], set_={"swept_at": found.until}))


@tick(every=EVERY)
async def mail_late_ones(house: House, term: Term, now: datetime) -> None:
    async with house.database.begin() as conn:
        await check_term(conn, term)
        for user_id in (await conn.execute(_WHO)).scalars():
            lock = _name(user_id)
            await defer(conn, mail_late, queueing_lock=lock, lock=lock, user_id=user_id)


async def digest(conn: AsyncConnection, user_id: int, timezone: str) -> Digest | None:
    """What became late since the last mail to this manager, the latest first; None for nothing."""
    rows = (await conn.execute(_WHAT, {"id": user_id, "zone": timezone})).all()
    if not rows:
        return None
    rules = {each.code: each for each in await rules_of(conn)}
    language = await conn.scalar(select(users.c.language).where(users.c.id == user_id))
    use_language(language or SOURCE)
    said = [
        {
            "customer": row.customer,
            "reason": rule_words(row.rule, rules)[0],
            "salesperson": row.salesperson,
            "due": row.due,
        }
        for row in rows
    ]
    return Digest(rows[0].email, language, said, max(row.escalated_at for row in rows))


def _name(user_id: int) -> str:
    return f"late mails to {user_id}"


_NEWS = """
    WITH managers AS (
        SELECT u.id, u.email, u.role, s.dealer FROM users u LEFT JOIN salespeople s ON s.code = u.salesperson
        WHERE u.active AND u.role IN ('admin', 'marketer')
    ), late AS (
        SELECT f.*, s.dealer, coalesce(s.name, f.salesperson) AS seller FROM follow_ups f
        LEFT JOIN salespeople s ON s.code = f.salesperson
        WHERE f.state = 'open' AND f.escalated_at IS NOT NULL
    ), told AS (
        SELECT m.id AS user_id, m.email, late.* FROM late JOIN managers m ON m.dealer = late.dealer
            OR m.role = 'admin' AND NOT EXISTS (SELECT FROM managers own WHERE own.dealer = late.dealer)
        LEFT JOIN follow_up_states before ON before.name = 'late mails to ' || m.id
        WHERE before.swept_at IS NULL OR late.escalated_at > before.swept_at
    )
"""
_WHO = text(f"{_NEWS} SELECT DISTINCT user_id FROM told ORDER BY 1")  # noqa: S608 -- our own words
_WHAT = text(f"""
    {_NEWS}
    SELECT told.email, coalesce(c.name, c.external_id, CAST(c.id AS text)) AS customer, told.rule,
        told.seller AS salesperson, to_char(told.due_at AT TIME ZONE :zone, 'YYYY-MM-DD HH24:MI') AS due,
        told.escalated_at
    FROM told JOIN customers c ON c.id = told.customer_id
    WHERE told.user_id = :id ORDER BY told.escalated_at DESC, told.value DESC, told.id
""")  # noqa: S608

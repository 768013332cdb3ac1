"""The programme's report by mail: each week or month, to the users who were chosen, in their language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import report_schedules
from campaigns.programme import programme
from customers.growth import growth
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from web.access import READERS
from web.i18n import SOURCE, use_language
from web.mails import render_mail, send_mail
from web.mails.report import context
from web.models import users

EVERY = ("week", "month")
HOUR = 8  # of the workspace's morning, from which on it is sent


@dataclass(frozen=True)
class Recipient:
    """`every`: None for never."""

    user_id: int
    name: str
    email: str
    every: str | None


@dataclass(frozen=True)
class Span:
    """A week or month that is over, in days of the workspace; `end` is the first day after it."""

    start: date
    end: date

    def instants(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        since, until = (datetime.combine(day, time(), zone) for day in (self.start, self.end))
        return since, until


async def recipients(conn: AsyncConnection) -> list[Recipient]:
    """All active users who may see reports, with what each of them gets."""
    statement = (
        select(users.c.id, users.c.name, users.c.email, report_schedules.c.every)
        .outerjoin(report_schedules, report_schedules.c.user_id == users.c.id)
        .where(_readers())
        .order_by(users.c.name, users.c.id)
    )
    return [Recipient(*row) for row in await conn.execute(statement)]


async def save_recipients(conn: AsyncConnection, wanted: Mapping[int, str], *, by: str) -> None:
    """By user: one of EVERY, anything else is never; who is not named keeps what they have."""
    known = set((await conn.execute(select(users.c.id).where(_readers()))).scalars())
    never = [user_id for user_id, every in wanted.items() if every not in EVERY]
    await conn.execute(delete(report_schedules).where(report_schedules.c.user_id.in_(never)))
    rows = [
        {"user_id": user_id, "every": every, "created_by": by}
        for user_id, every in wanted.items()
        if every in EVERY and user_id in known
    ]
    if rows:
        statement = insert(report_schedules).values(rows)
        changed = {"every": statement.excluded.every}
        await conn.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=changed))


def last(every: str, today: date) -> Span:
    """The last week (from Monday) or month that is over."""
    if every == "week":
        monday = today - timedelta(days=today.weekday())
        return Span(monday - timedelta(days=7), monday)
    first = today.replace(day=1)
    return Span((first - timedelta(days=1)).replace(day=1), first)


@job("web.mail_report", retry=Backoff(tries=5, base=timedelta(minutes=5)))
async def mail_report(house: House, *, user_id: int, start: str) -> None:
    """Mail the period from `start` to a user who still wants it; noted only once it is taken over."""
    row = report_schedules.c
    async with house.database.connect() as conn:
        statement = (
            select(users.c.email, users.c.language, row.every)
            .join(report_schedules, row.user_id == users.c.id)
            .where(
                users.c.id == user_id, _readers(), or_(row.sent_for.is_(None), row.sent_for < date.fromisoformat(start))
            )
        )
        wanted = (await conn.execute(statement)).one_or_none()
        if wanted is None:
            return
        now, zone = utc_now(), house.settings.zone
        span = last(wanted.every, now.astimezone(zone).date())
        since, until = span.instants(zone)
        found = await programme(conn, since, until, house.settings.timezone)
        base = await growth(conn, now=now, timezone=house.settings.timezone)
    use_language(wanted.language or SOURCE)
    mail = render_mail("report", context(house.settings, span.start, span.end, found, base, wanted.every))
    await send_mail(house.settings, wanted.email, mail, f"report {user_id} {span.start}", now)
    async with house.database.begin() as conn:
        await conn.execute(update(report_schedules).where(row.user_id == user_id).values(sent_for=span.start))


@tick(every=timedelta(minutes=10))
async def mail_reports(house: House, term: Term, now: datetime) -> None:
    """Put those into the queue that are due: after HOUR, once for each period."""
    local = now.astimezone(house.settings.zone)
    if local.hour < HOUR:
        return
    async with house.database.begin() as conn:
        await check_term(conn, term)
        for user_id, span in await due(conn, local.date()):
            lock = f"report {user_id}"
            await defer(conn, mail_report, queueing_lock=lock, lock=lock, user_id=user_id, start=span.start.isoformat())


async def due(conn: AsyncConnection, today: date) -> list[tuple[int, Span]]:
    """Who may see reports and was not told of the last period yet."""
    row = report_schedules.c
    found = []
    for every in EVERY:
        span = last(every, today)
        asked = select(row.user_id).join(users, users.c.id == row.user_id).where(_readers(), row.every == every)
        asked = asked.where(or_(row.sent_for.is_(None), row.sent_for < span.start))
        found += [(user_id, span) for user_id in (await conn.execute(asked.order_by(row.user_id))).scalars()]
    return found


def _readers() -> ColumnElement[bool]:
    return users.c.active & users.c.role.in_(sorted(READERS))

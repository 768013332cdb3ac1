"""Signals become follow-ups: opened for the customer's own salesperson, given out as each day has room for them.

Set-based: one statement a rule, whether of those who changed a second ago or of everybody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, Text, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import news
from customers.models import customers, salespeople
from runtime.errors import Invalid, Problem
from sales.bell import ring
from sales.models import follow_up_capacity, follow_up_states, follow_ups
from sales.rules import EVENT, STANDING, FollowUpRule, rules_of
from sales.signals import SOURCES, appliance_evidence, event_evidence, signal_rows
from segments.context import EvaluationContext
from segments.engine import Prepared, limited, prepare, record_condition

CAPACITY = 12
"""New follow-ups a day for a salesperson of whom nothing else is said."""

MOST_A_DAY = 500
KEPT_WAITING = timedelta(days=14)
KEPT_OPEN = timedelta(days=30)  # after they were due
_FEW = 2_000  # customers whose records are looked up one by one
STATE = "follow-ups"  # of the row of follow_up_states


async def open_news(conn: AsyncConnection, context: EvaluationContext) -> int:
    """Open what the customers gave reason for who changed since the last time; how many. The first time: nobody."""
    seen = await conn.scalar(select(follow_up_states.c.snapshot).where(follow_up_states.c.name == STATE))
    found = await news(conn, set(SOURCES.values()), seen)
    await _keep(conn, snapshot=found.snapshot)
    if found.ids is not None and not found.ids:
        return 0
    rules = [rule for rule in await rules_of(conn) if rule.signal.kind != STANDING]
    return await _open(conn, rules, context, found.ids)


async def open_all(conn: AsyncConnection, context: EvaluationContext) -> int:
    """Look at everybody: for what only the passing of time brings, and for rules that were changed; how many."""
    await tidy(conn, context.now)
    return await _open(conn, await rules_of(conn), context, None)


async def tidy(conn: AsyncConnection, now: datetime) -> None:
    """Before everybody is looked at: whose household changed hands, hands its follow-ups on; what nobody did for long
    expires."""
    await _keep(conn, swept_at=now)
    await conn.execute(_HAND_OVER)
    await conn.execute(_EXPIRE, {"now": now, "waiting": now - KEPT_WAITING, "due": now - KEPT_OPEN})


async def open_by(conn: AsyncConnection, rule: FollowUpRule, context: EvaluationContext) -> int:
    """Look at everybody for one rule; how many were opened."""
    return await _open(conn, [rule], context, None)


async def give_out(conn: AsyncConnection, now: datetime, zone: ZoneInfo) -> None:
    """Give waiting follow-ups to their salespeople, the best first, up to each one's room of this day."""
    if (await conn.execute(_GIVE, {"now": now, **_room_values(now, zone)})).rowcount:
        await ring(conn)


async def escalate(conn: AsyncConnection, now: datetime) -> int:
    """Mark those that are late, for the dealer and the admin; how many became so."""
    late = (await conn.execute(_ESCALATE, {"now": now})).rowcount
    if late:
        await ring(conn)
    return late


def day_begins(now: datetime, zone: ZoneInfo) -> datetime:
    """The midnight before `now` on the workspace's clock."""
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


async def capacities(conn: AsyncConnection) -> dict[str, int]:
    """New follow-ups a day by salesperson; '' is whoever has none of their own."""
    rows = await conn.execute(select(follow_up_capacity.c.salesperson, follow_up_capacity.c.daily))
    return {"": CAPACITY, **{row.salesperson: row.daily for row in rows}}


async def set_capacity(conn: AsyncConnection, salesperson: str, daily: int) -> None:
    """New follow-ups a day of a salesperson ('': of everybody else). Raises Invalid."""
    if not 0 <= daily <= MOST_A_DAY:
        raise Invalid(Problem("daily", f"must be from 0 to {MOST_A_DAY}"))
    kept = insert(follow_up_capacity).values(salesperson=salesperson, daily=daily)
    await conn.execute(kept.on_conflict_do_update(index_elements=["salesperson"], set_={"daily": daily}))


async def _open(
    conn: AsyncConnection, rules: Sequence[FollowUpRule], context: EvaluationContext, ids: Collection[int] | None
) -> int:
    opened = 0
    for rule in rules:
        if rule.active:
            opened += await _open_rule(conn, rule, context, ids)
    await give_out(conn, context.now, context.zone)
    return opened


async def _open_rule(
    conn: AsyncConnection, rule: FollowUpRule, context: EvaluationContext, ids: Collection[int] | None
) -> int:
    prepared = await prepare(conn, rule.rule, context)
    few = ids is not None and len(ids) <= _FEW
    picked = _picked(rule, prepared, context, ids, few=few).subquery("picked")
    matched = await record_condition(conn, rule.rule, context, "appliances")
    rows = _rows(rule, picked, _evidence(rule, picked, matched, context.now), context)
    names = [column.name for column in rows.selected_columns]
    opening = insert(follow_ups).from_select(names, rows, include_defaults=False).on_conflict_do_nothing()
    opened = select(func.count()).select_from(opening.returning(follow_ups.c.id).cte("opened"))
    async with limited(conn, prepared):
        return int((await conn.execute(opened)).scalar_one())


def _picked(
    rule: FollowUpRule, prepared: Prepared, context: EvaluationContext, ids: Collection[int] | None, *, few: bool
) -> Select[Any]:
    """Customers who gave the signal, belong, and are not followed up for the same reason."""
    row = customers.c
    signal = signal_rows(rule.signal, context.now, ids)
    place = func.row_number().over(partition_by=row.salesperson, order_by=(signal.c.at.desc(), row.id))
    columns = [row.id, row.salesperson, signal.c.at, signal.c.evidence, place.label("place")]
    return (
        select(*columns)
        .select_from(customers.join(signal, signal.c.customer_id == row.id))
        .where(
            row.merged_into.is_(None),
            row.salesperson.in_(select(salespeople.c.code).where(salespeople.c.active)),
            prepared.condition(few=few),
            ~_followed(rule, signal, context.now),
        )
    )


def _followed(rule: FollowUpRule, signal: Subquery, now: datetime) -> ColumnElement[bool]:
    """Whether the same reason has one open, had one lately, or had one since the signal."""
    past = follow_ups.c
    lately = past.closed_at > now - timedelta(days=rule.cool_down_days)
    answered = (past.signal_at >= signal.c.at) if rule.signal.kind != STANDING else (past.state == "open")
    earlier = select(past.id).where(past.customer_id == customers.c.id, past.rule == rule.code)
    return earlier.where((past.state == "open") | lately | answered).correlate(customers, signal).exists()


def _evidence(
    rule: FollowUpRule, picked: Subquery, matched: ColumnElement[bool] | None, now: datetime
) -> ColumnElement[Any]:
    parts: list[ColumnElement[Any]] = [picked.c.evidence]
    if rule.signal.kind == EVENT:
        parts.append(event_evidence(rule.signal, now))
    parts.append(appliance_evidence(matched))
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.op("||", return_type=JSONB())(part)
    return joined


def _rows(
    rule: FollowUpRule, picked: Subquery, evidence: ColumnElement[Any], context: EvaluationContext
) -> Select[Any]:
    """What is inserted; of a standing rule only as many as have room today."""
    joined = customers.join(picked, picked.c.id == customers.c.id)
    rows = select(
        customers.c.id.label("customer_id"),
        literal(rule.code).label("rule"),
        picked.c.salesperson,
        literal("open").label("state"),
        evidence.label("evidence"),
        literal(rule.value, follow_ups.c.value.type).label("value"),
        literal(rule.due_hours).label("due_hours"),
        literal(rule.at_once).label("at_once"),
        picked.c.at.label("signal_at"),
        literal(context.now, follow_ups.c.opened_at.type).label("opened_at"),
    )
    if rule.signal.kind != STANDING:
        return rows.select_from(joined)
    left = text(_ROOM).bindparams(**_room_values(context.now, context.zone))
    room = left.columns(salesperson=Text, room=BigInteger).subquery("room")
    joined = joined.join(room, room.c.salesperson == picked.c.salesperson)
    return rows.select_from(joined).where(picked.c.place <= room.c.room)


async def _keep(conn: AsyncConnection, **values: Any) -> None:
    kept = insert(follow_up_states).values(name=STATE, **values)
    await conn.execute(kept.on_conflict_do_update(index_elements=["name"], set_=values))


def _room_values(now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    return {"day": day_begins(now, zone), "capacity": CAPACITY}


# Room of the day: capacity less what was given today; what waits already takes it first.
_ROOM = """
    SELECT s.code AS salesperson,
        coalesce(own.daily, everybody.daily, :capacity) - coalesce(given.today, 0) - coalesce(given.waiting, 0) AS room
    FROM salespeople s
    LEFT JOIN follow_up_capacity own ON own.salesperson = s.code
    LEFT JOIN follow_up_capacity everybody ON everybody.salesperson = ''
    LEFT JOIN (
        SELECT salesperson, count(*) FILTER (WHERE given_at >= :day) AS today,
            count(*) FILTER (WHERE state = 'open' AND given_at IS NULL) AS waiting
        FROM follow_ups WHERE given_at >= :day OR state = 'open' GROUP BY 1
    ) given ON given.salesperson = s.code
"""
_GIVE = text("""
    WITH given AS (
        SELECT salesperson, count(*) AS today FROM follow_ups WHERE given_at >= :day GROUP BY 1
    ), waiting AS (
        SELECT f.customer_id, f.id, f.at_once, coalesce(own.daily, everybody.daily, :capacity)
                - coalesce(given.today, 0) AS room, row_number() OVER (
            PARTITION BY f.salesperson ORDER BY f.at_once DESC, f.value / f.due_hours DESC, f.signal_at DESC, f.id
        ) AS place
        FROM follow_ups f
        LEFT JOIN follow_up_capacity own ON own.salesperson = f.salesperson
        LEFT JOIN follow_up_capacity everybody ON everybody.salesperson = ''
        LEFT JOIN given ON given.salesperson = f.salesperson
        WHERE f.state = 'open' AND f.given_at IS NULL
    )
    UPDATE follow_ups f SET given_at = :now, due_at = :now + f.due_hours * interval '1 hour'
    FROM waiting w WHERE f.customer_id = w.customer_id AND f.id = w.id AND (w.at_once OR w.place <= w.room)
""")
_ESCALATE = text("""
    UPDATE follow_ups SET escalated_at = :now
    WHERE state = 'open' AND due_at < :now AND escalated_at IS NULL
""")
_HAND_OVER = text("""
    UPDATE follow_ups f SET salesperson = c.salesperson FROM customers c
    WHERE f.state = 'open' AND c.id = f.customer_id AND c.salesperson <> f.salesperson
""")
_EXPIRE = text("""
    UPDATE follow_ups SET state = 'expired', closed_at = :now
    WHERE state = 'open' AND (given_at IS NULL AND opened_at < :waiting OR due_at < :due)
""")

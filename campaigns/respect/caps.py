"""Frequency caps, counted from the ledger: what went out, and what other campaigns are about to send.

A message counts in the period in which it went out; one that waits in a running campaign, in that for which it is
planned; one whose answer never came, in that in which it was tried. Campaigns that were paused count with what they
sent alone. Under a lock (`take_turn`) one freeze sees what another wrote, so two at the same time cannot both fill the
last place. While a batch is sent, it is counted again: what others sent, and what waits in runs with a lower number.

One case is bounded instead of exact: a campaign that was paused did not count when a later one was frozen. When it
resumes, both may have a message for the last place of the same person, and the later one hears of that at its next
look (campaigns/dispatch/watch.py, after 1.5 s at most): who is handed over to both in that time gets one message above
the cap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Subquery,
    TableValuedAlias,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import runs
from campaigns.respect.clocks import table_of, zone_of
from campaigns.respect.periods import PERIODS, span
from campaigns.respect.rules import ALL, Cap
from campaigns.states import RunState
from customers.bulk import among
from tracking.models import messages
from tracking.states import OPEN, State

FREQUENCY_CAP = "frequency_cap"
_LOCK = 0x6865_6172_6361_7073
_Instant = DateTime(timezone=True)
_EDGES = {f"{period}_{edge}": _Instant for period in PERIODS for edge in ("from", "to")}


def reason(cap: Cap) -> str:
    """`frequency_cap: email week`, as messages keep it."""
    return f"{FREQUENCY_CAP}: {cap.channel} {cap.period}"


async def take_turn(conn: AsyncConnection, *, obeying: bool) -> None:
    """Until the transaction ends, no other freeze that obeys caps goes on; one that ignores them waits for those."""
    shared = "" if obeying else "_shared"
    await conn.execute(text(f"SELECT pg_advisory_xact_lock{shared}(:key)"), {"key": _LOCK})


def calendar(zones: Sequence[str], default: str, since: datetime, until: datetime) -> TableValuedAlias:
    """Rows `(zone, day_from, day_to, week_from, …, month_to)` for each day between the two in each zone."""
    rows: list[tuple[Any, ...]] = []
    for name in zones:
        zone, day = zone_of(name, default), since
        while day <= until:
            spans = [span(period, day, zone) for period in PERIODS]
            rows.append((name, *(edge for one in spans for edge in one)))
            day = spans[0][1]
    return table_of("calendar", {"zone": Text(), **_EDGES}, rows)


def earliest(caps: Sequence[Cap], zones: Sequence[ZoneInfo], now: datetime) -> datetime:
    """Nothing that went out before it counts for any of `caps` from `now` on."""
    return min(span(cap.period, now, zone)[0] for cap in caps for zone in zones)


def contacts(run_id: int | None, caps: Sequence[Cap], since: datetime, now: datetime) -> Subquery:
    """Rows `(customer_id, channel, at)` of everything that may count against a message of `run_id` (None: of none)."""
    sent = _counted(caps, messages.c.sent_at).where(messages.c.sent_at >= since)
    planned = func.greatest(messages.c.not_before, literal(now, _Instant))
    others = select(runs.c.id).where(runs.c.state == RunState.SENDING, runs.c.id.is_distinct_from(run_id))
    waiting = _counted(caps, planned).where(messages.c.run_id.in_(others), messages.c.state.in_(OPEN))
    doubted = messages.c.doubted_at
    doubtful = _counted(caps, doubted).where(doubted >= since, messages.c.state == State.UNKNOWN)
    return union_all(sent, waiting, doubtful).subquery("contacts")


def reached(
    caps: Sequence[Cap], channel: ColumnElement[str], at: ColumnElement[datetime], spans: Any
) -> ColumnElement[Any]:
    """Over the contacts of one person: the reason of the first cap that is reached, else NULL. `spans`: the columns of
    `calendar`."""
    return case(*((is_full(cap, channel, at, spans), literal(reason(cap), Text)) for cap in caps))


def is_full(cap: Cap, channel: ColumnElement[str], at: ColumnElement[datetime], spans: Any) -> ColumnElement[bool]:
    """Over the contacts of one person: whether the cap is reached."""
    inside = and_(at >= spans[f"{cap.period}_from"], at < spans[f"{cap.period}_to"])
    if cap.channel != ALL:
        inside = and_(inside, channel == cap.channel)
    return func.count().filter(inside) >= cap.most


@dataclass(frozen=True)
class Others:
    """The runs beside one's own that may have sent something in a span of time, with their states. `moving`: some of
    them may have sent since one last looked."""

    states: Mapping[int, str]
    moving: bool


async def others_since(conn: AsyncConnection, run_id: int, since: datetime, looked: datetime | None) -> Others:
    """The other runs that may have sent from `since` on; `looked`: when one last looked, None: never."""
    going = or_(runs.c.finished_at.is_(None), runs.c.finished_at >= since)
    asked = select(*runs.c["id", "state", "finished_at"]).where(runs.c.id != run_id, runs.c.frozen_at.is_not(None))
    rows = (await conn.execute(asked.where(going))).all()
    moving = any(looked is None or row.finished_at is None or row.finished_at >= looked for row in rows)
    return Others({row.id: row.state for row in rows}, moving)


async def reached_meanwhile(
    conn: AsyncConnection,
    run_id: int,
    zones: Mapping[int, ZoneInfo],
    caps: Sequence[Cap],
    others: Others,
    now: datetime,
) -> dict[int, str]:
    """Who of the people of a batch (with their zones) must not get its message any more, and why."""
    if not others.states or not zones:
        return {}
    counted = counted_meanwhile(
        run_id, zones, others, now, lambda channel, at, asked: reached(caps, channel, at, asked)
    )
    return {found.customer_id: found.reason for found in await conn.execute(counted)}


def counted_meanwhile(
    run_id: int,
    zones: Mapping[int, ZoneInfo],
    others: Others,
    now: datetime,
    reason: Callable[[ColumnElement[str], ColumnElement[datetime], Any], ColumnElement[Any]],
    narrowed: Callable[[Any], tuple[FromClause, ColumnElement[bool]]] | None = None,
    group: Sequence[ColumnElement[Any]] = (),
) -> Select[Any]:
    """`SELECT customer_id, reason` of those for whom `reason(channel, at, calendar columns)` finds one over what others
    sent them; `narrowed` joins a table that both limits whom and, by the columns in `group`, what is asked."""
    asked, row = _asked(zones, now), messages.c
    ahead = [number for number, state in others.states.items() if state == RunState.SENDING and number < run_id]
    present = literal(now, _Instant)
    waiting = and_(row.run_id.in_(ahead), row.state.in_(OPEN), func.coalesce(row.not_before, present) <= present)
    at = case((waiting, present), (row.state == State.UNKNOWN, row.doubted_at), else_=row.sent_at)
    people: FromClause = asked if narrowed is None else asked.join(*narrowed(asked.c))
    counted = (
        select(asked.c.customer_id, reason(row.channel, at, asked.c).label("reason"))
        .select_from(people.join(messages, row.customer_id == asked.c.customer_id))
        .where(among(row.run_id, others.states))
        .group_by(asked.c.customer_id, *group)
        .subquery("counted")
    )
    return select(counted).where(counted.c.reason.is_not(None))


def _asked(zones: Mapping[int, ZoneInfo], now: datetime) -> TableValuedAlias:
    """Rows `(customer_id, day_from, …, month_to)`: each one's calendar at `now`."""
    edges = {zone: [edge for period in PERIODS for edge in span(period, now, zone)] for zone in {*zones.values()}}
    rows = [(customer_id, *edges[zone]) for customer_id, zone in zones.items()]
    return table_of("asked", {"customer_id": BigInteger(), **_EDGES}, rows)


def _counted(caps: Sequence[Cap], at: ColumnElement[Any]) -> Select[Any]:
    counted = select(messages.c.customer_id, messages.c.channel, at.label("at"))
    named = {cap.channel for cap in caps}
    return counted if ALL in named else counted.where(messages.c.channel.in_(named))

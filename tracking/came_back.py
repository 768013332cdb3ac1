"""What came back in the last 30 days, for whoever looks: bounces and complaints by class, each with the other side's
words; strays; mailboxes. All of it by the small index of those events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import customers
from tracking.models import campaign_names, events, return_mailboxes, stray_returns
from tracking.returns import COMPLAINED

SPAN = timedelta(days=30)
STRAYS_SHOWN = 20

_row = events.c
_class = _row.attributes["class"].astext
_source = _row.attributes["source"].astext
# Word for word the predicate of ix_events_came_back.
_CAME_BACK: ColumnElement[bool] = literal_column("events.kind IN ('bounced', 'complained')")


@dataclass(frozen=True)
class Tally:
    """`by_class`: how many came back in SPAN, complaints as `complained`. `heard`: who reported last when, by door or
    provider."""

    by_class: dict[str, int]
    heard: dict[str, datetime]


def returned(now: datetime, kind: str = "") -> Select[Any]:
    """Rows `at, who, name, address, class, status, words, source, campaign_id, campaign`; `kind`: of one class."""
    owner, person = customers.alias("owner"), customers.alias("person")
    chosen = and_(_CAME_BACK, _row.at > now - SPAN)
    if kind:
        chosen = and_(chosen, _row.kind == COMPLAINED if kind == COMPLAINED else _class == kind)
    return (
        select(
            _row.at,
            person.c.id.label("who"),
            person.c.name,
            _row.attributes["address"].astext.label("address"),
            func.coalesce(_class, _row.kind).label("class"),
            _row.attributes["status"].astext.label("status"),
            _row.attributes["words"].astext.label("words"),
            _source.label("source"),
            _row.campaign_id,
            campaign_names.c.name.label("campaign"),
        )
        .select_from(events)
        .join(owner, owner.c.id == _row.customer_id)
        .join(person, person.c.id == func.coalesce(owner.c.merged_into, owner.c.id))
        .outerjoin(campaign_names, campaign_names.c.campaign_id == _row.campaign_id)
        .where(chosen)
    )


async def tally(conn: AsyncConnection, now: datetime) -> Tally:
    name = func.coalesce(_class, _row.kind)
    asked = select(name.label("name"), _source.label("source"), func.count().label("many"), func.max(_row.recorded_at))
    rows = (await conn.execute(asked.where(_CAME_BACK, _row.at > now - SPAN).group_by(name, _source))).all()
    by_class: dict[str, int] = {}
    heard: dict[str, datetime] = {}
    for kind, source, many, last in rows:
        by_class[kind] = by_class.get(kind, 0) + many
        heard[source or ""] = max(last, heard.get(source or "", last))
    return Tally(by_class, heard)


async def newest_strays(conn: AsyncConnection, now: datetime) -> Sequence[Row[Any]]:
    asked = select(stray_returns).where(stray_returns.c.at > now - SPAN)
    return (await conn.execute(asked.order_by(stray_returns.c.id.desc()).limit(STRAYS_SHOWN))).all()


async def mailbox_state(conn: AsyncConnection, name: str) -> Row[Any] | None:
    """How the mailbox of this name is read; None where it was not yet."""
    return (await conn.execute(select(return_mailboxes).where(return_mailboxes.c.name == name))).first()

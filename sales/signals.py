"""Signals as SQL: who gave one, when, and what speaks for it. What machines did never counts.

Evidence is a list of objects: `{"kind": "event", "event", "campaign_id", "campaign", "link", "count", "at"}`,
`{"kind": "visit", "number", "visit", "provider", "at"}`, `{"kind": "rating", "survey", "score", "comment", "at"}`,
`{"kind": "appliance", "number", "category", "brand", "installed_on", "warranty_until", "consumable_due_on",
"repairs"}`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Subquery,
    any_,
    case,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from customers.models import appliances, customers
from customers.ratings import RATINGS
from customers.surveys import SURVEYS
from runtime.text import fold
from sales.rules import COMPLAINT, EVENT, RATING, STANDING, VISIT, Signal
from tracking.models import campaign_names, events

SOURCES = {EVENT: "events", VISIT: "service_visits", RATING: RATINGS}
"""Whose news brings a signal; a standing one has none."""

OVERDUE_AT_MOST = timedelta(days=60)
_MOST_EVENTS = 6


def signal_rows(signal: Signal, now: datetime, ids: Collection[int] | None) -> Subquery:
    """(customer_id, at, evidence) of the customers who gave the signal, of those of `ids` (None: of all)."""
    among = "" if ids is None else _AMONG[signal.kind]
    statement = text(_ROWS[signal.kind].format(among=among)).bindparams(**_values(signal, now))
    if among:
        statement = statement.bindparams(ids=sorted(ids or ()))
    return statement.columns(customer_id=BigInteger, at=DateTime(timezone=True), evidence=JSONB).subquery("signal")


def event_evidence(signal: Signal, now: datetime) -> ColumnElement[Any]:
    """What the customer did lately, as a column of a statement over `customers`; the newest first."""
    row, name, old = events.c, campaign_names.c, customers.alias("old")
    what = [
        literal(EVENT).label("kind"),
        row.kind.label("event"),
        row.campaign_id,
        name.name.label("campaign"),
        case((row.kind == "clicked", row.link)).label("link"),
    ]
    aliases = select(old.c.id).where(old.c.merged_into == customers.c.id).correlate(customers)
    done = (
        select(*what, func.count().label("count"), func.max(row.at).label("at"))
        .select_from(events.outerjoin(campaign_names, name.campaign_id == row.campaign_id))
        .where(
            row.customer_id == any_(func.array_append(func.array(aliases.scalar_subquery()), customers.c.id)),
            row.machine.is_(False),
            row.at > now - timedelta(days=signal.within_days),
            row.kind_folded.in_(("opened", "clicked", fold(signal.event))),
        )
        .group_by(*what[1:])
        .order_by(func.max(row.at).desc())
        .limit(_MOST_EVENTS)
        .correlate(customers)
        .subquery("done")
    )
    listed = func.jsonb_agg(func.to_jsonb(literal_column("done")))
    return func.coalesce(select(listed).select_from(done).scalar_subquery(), literal([], JSONB))


def appliance_evidence(matched: ColumnElement[bool] | None) -> ColumnElement[Any]:
    """The appliance that the rule is about (`matched`), else the oldest in use, as a column over `customers`."""
    row = appliances.c
    said = func.jsonb_build_object(
        *("kind", "appliance", "number", row.number, "category", row.category, "brand", row.brand),
        *("installed_on", func.coalesce(row.installed_on, row.purchased_on), "warranty_until", row.warranty_until),
        *("consumable_due_on", row.next_consumable_due_on, "repairs", row.repairs_count),
    )
    which = row.status == "in_use" if matched is None else matched
    oldest = (
        select(func.jsonb_build_array(said))
        .where(row.customer_id == customers.c.id, which)
        .order_by(func.coalesce(row.installed_on, row.purchased_on).nulls_last(), row.number)
        .limit(1)
        .correlate(customers)
    )
    return func.coalesce(oldest.scalar_subquery(), literal([], JSONB))


def _values(signal: Signal, now: datetime) -> dict[str, Any]:
    since = now - timedelta(days=signal.within_days)
    if signal.kind == EVENT:
        parts = {name: _part(getattr(signal, name)) for name in ("campaign", "link", "category")}
        return {"event": fold(signal.event), "count": signal.count, "since": since, "until": now, **parts}
    if signal.kind == VISIT:
        late = now - timedelta(hours=signal.hours)
        return {"late": late, "oldest": now - OVERDUE_AT_MOST, "visit": fold(signal.visit)}
    return {"since": since} if signal.kind == RATING else {"now": now}


def _part(words: str) -> str:
    escaped = (fold(words) or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


_AMONG = {
    EVENT: """AND e.customer_id = ANY(CAST(:ids AS bigint[]) || ARRAY(
        SELECT id FROM customers WHERE merged_into = ANY(CAST(:ids AS bigint[]))))""",
    VISIT: "AND v.customer_id = ANY(CAST(:ids AS bigint[]))",
    RATING: "AND r.customer_id = ANY(CAST(:ids AS bigint[]))",
    STANDING: "AND id = ANY(CAST(:ids AS bigint[]))",
}
_BAD = " OR ".join(f"r.survey = '{each.name}' AND r.score <= {each.bad}" for each in SURVEYS.values())
_ROWS = {
    EVENT: """
        SELECT coalesce(c.merged_into, c.id) AS customer_id, max(e.at) AS at, CAST('[]' AS jsonb) AS evidence
        FROM events e JOIN customers c ON c.id = e.customer_id
        WHERE e.kind_folded = :event AND NOT e.machine AND e.at > :since AND e.at <= :until {among}
          AND (:link = '%%' OR e.link_folded LIKE :link)
          AND (:category = '%%' OR e.link_folded LIKE :category OR e.attributes_folded ->> 'category' LIKE :category)
          AND (:campaign = '%%' OR e.campaign_id IN (
              SELECT campaign_id FROM campaign_names WHERE name_folded LIKE :campaign))
        GROUP BY 1 HAVING count(*) >= :count
    """,
    VISIT: f"""
        SELECT v.customer_id, max(v.requested_at) AS at, jsonb_agg(jsonb_build_object('kind', 'visit',
            'number', v.number, 'visit', v.kind, 'provider', v.provider, 'at', v.requested_at)
            ORDER BY v.requested_at DESC) AS evidence
        FROM service_visits v
        WHERE v.requested_at <= :late AND v.requested_at > :oldest AND v.visited_at IS NULL
          AND v.completed_at IS NULL AND coalesce(v.status_folded, '') NOT IN ('completed', 'cancelled')
          AND CASE WHEN :visit = '' THEN v.kind_folded IS DISTINCT FROM '{COMPLAINT}'
                   ELSE v.kind_folded = :visit END {{among}}
        GROUP BY 1
    """,  # noqa: S608 -- our own words
    RATING: f"""
        SELECT r.customer_id, max(r.at) AS at, jsonb_agg(jsonb_build_object('kind', 'rating', 'survey', r.survey,
            'score', r.score, 'comment', r.comment, 'at', r.at) ORDER BY r.at DESC) AS evidence
        FROM ratings r WHERE r.counts AND r.at > :since AND ({_BAD}) {{among}}
        GROUP BY 1
    """,  # noqa: S608
    STANDING: """
        SELECT id AS customer_id, CAST(:now AS timestamptz) AS at, CAST('[]' AS jsonb) AS evidence
        FROM customers WHERE merged_into IS NULL AND salesperson IS NOT NULL {among}
    """,
}

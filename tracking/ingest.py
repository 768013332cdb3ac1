"""Facts become events, and events move the folds: the message, the customer's activity, the consent ledger.

`store` takes a group of facts through a fixed number of statements. Each event is one row for ever, only a new row
moves a fold, and every fold is a sum or a first or last time: in whatever order groups commit, `hearth db recount`
finds the same numbers. Rows are touched in the order events, messages, activity, consents, each by key, so that
groups which meet wait for each other instead of locking up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, note_changed
from customers.consents import MARKETING, ConsentEntry, record_consents
from customers.results import Consent
from runtime.text import fold
from tracking.facts import Fact, FactKind
from tracking.folds import CLICK_POINTS, MESSAGE_FOLD, OPEN_POINTS, PERSON_FOLD, SEEN_KINDS
from tracking.machines import FAST, FASTEST_PERSON


async def store(conn: AsyncConnection, facts: Sequence[Fact], now: datetime) -> None:
    """Record facts about messages. Repeating one changes nothing; one about a message that is not there is
    dropped."""
    seen = [fact for fact in facts if fact.kind in SEEN_KINDS]
    said = {fact.key: fact for fact in facts if fact.kind not in SEEN_KINDS}  # a person's last word on a message
    if seen:
        await _store_seen(conn, seen)
    for kind, granted in ((FactKind.UNSUBSCRIBED, False), (FactKind.RESUBSCRIBED, True)):
        words = [fact for fact in said.values() if fact.kind is kind]
        if words:
            await _store_words(conn, words, now, granted=granted)


async def _store_seen(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    new = (await conn.execute(_INSERT_SEEN, _fact_arrays(facts))).all()
    if not new:
        return
    events = _event_arrays(new)
    moved = (await conn.execute(_UPDATE_MESSAGES, events)).all()
    await note_changed(conn, ("events", "messages", ACTIVITY), {row.customer_id for row in new})
    if all(row.machine for row in new):
        return
    points = [OPEN_POINTS * row.first_open + CLICK_POINTS * row.first_click for row in moved]
    earned = {"earners": [row.customer_id for row in moved], "points": points}
    await conn.execute(_UPDATE_ACTIVITY, {**events, **earned})


async def _store_words(conn: AsyncConnection, facts: Sequence[Fact], now: datetime, *, granted: bool) -> None:
    """Let people's word on such mail stand; where it changes what the message says, that is an event."""
    arrays = _fact_arrays(facts)
    found = (await conn.execute(_STANDING, arrays)).all()
    changed = (await conn.execute(_RESUBSCRIBE if granted else _UNSUBSCRIBE, arrays)).all()
    if changed:
        keys = {"changed": [row.key for row in changed]}
        await conn.execute(_INSERT_WORDS, {**arrays, **keys})
        await note_changed(conn, ("events", "messages"), {row.customer_id for row in changed})
    entries = [
        ConsentEntry(row.customer_id, Consent(row.channel, MARKETING, granted, row.source, row.at), {"run": row.run_id})
        for row in found
        if row.granted is not granted
    ]
    await record_consents(conn, entries, now=now)


def _fact_arrays(facts: Sequence[Fact]) -> dict[str, Any]:
    ordered = sorted(facts, key=lambda fact: (fact.key, fact.at))
    return {
        "people": [fact.key.customer_id for fact in ordered],
        "runs": [fact.key.run_id for fact in ordered],
        "steps": [fact.key.step for fact in ordered],
        "at": [fact.at for fact in ordered],
        "keys": [fact.event_key for fact in ordered],
        "kinds": [str(fact.kind) for fact in ordered],
        "machines": [fact.machine for fact in ordered],
        "links": [fact.link for fact in ordered],
        "folded": [fold(fact.link) for fact in ordered],
        "attributes": [json.dumps(fact.attributes, ensure_ascii=False) for fact in ordered],
        "sources": [fact.source or "page" for fact in ordered],
    }


def _event_arrays(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda row: (row.customer_id, row.run_id, row.step))
    return {
        "people": [row.customer_id for row in ordered],
        "runs": [row.run_id for row in ordered],
        "steps": [row.step for row in ordered],
        "at": [row.at for row in ordered],
        "kinds": [row.kind for row in ordered],
        "machine": [row.machine for row in ordered],
    }


_FACTS = """
    unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]), CAST(:at AS timestamptz[]),
           CAST(:keys AS uuid[]), CAST(:kinds AS text[]), CAST(:machines AS text[]), CAST(:links AS text[]),
           CAST(:folded AS text[]), CAST(:attributes AS text[]), CAST(:sources AS text[]))
    AS f(customer_id, run_id, step, at, key, kind, machine, link, link_folded, attributes, source)
    LEFT JOIN customers c ON c.id = f.customer_id
"""
# The message m that a fact f of customer c is about: after a merge it is the survivor's, unless the survivor had one of
# the same run and the old id kept its own.
MESSAGE = """
    m.run_id = f.run_id AND m.step = f.step AND m.customer_id = CASE
        WHEN c.merged_into IS NULL OR EXISTS (
            SELECT FROM messages own
            WHERE own.customer_id = f.customer_id AND own.run_id = f.run_id AND own.step = f.step
        ) THEN f.customer_id ELSE c.merged_into END
"""

_EVENTS = """
    unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]), CAST(:at AS timestamptz[]),
           CAST(:kinds AS text[]), CAST(:machine AS boolean[]))
    AS e(customer_id, run_id, step, at, kind, machine)
"""

# A fetch before the message counts as sent, or at once after, is no person's; one whose answer never came was sent.
_INSERT_SEEN = text(f"""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link,
    link_folded,
                        machine, machine_reason, attributes)
    SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step, f.link,
           f.link_folded, judged.reason IS NOT NULL, judged.reason, CAST(f.attributes AS jsonb)
    FROM {_FACTS} JOIN messages m ON {MESSAGE}
    CROSS JOIN LATERAL (
        SELECT coalesce(f.machine, CASE
            WHEN m.state IN ('queued', 'sending') AND m.sent_at IS NULL THEN '{FAST}'
            WHEN f.at < m.sent_at + interval '{FASTEST_PERSON.total_seconds()} s' THEN '{FAST}' END) AS reason
    ) judged
    ON CONFLICT DO NOTHING
    RETURNING customer_id, run_id, step, at, kind, machine
""")  # noqa: S608 -- put together from this module's own words

_UPDATE_MESSAGES = text(f"""
    UPDATE messages m SET
        opens = m.opens + f.opens,
        clicks = m.clicks + f.clicks,
        opened_at = least(m.opened_at, f.opened_at),
        clicked_at = least(m.clicked_at, f.clicked_at),
        machine_opened_at = least(m.machine_opened_at, f.machine_opened_at),
        machine_clicked_at = least(m.machine_clicked_at, f.machine_clicked_at)
    FROM (SELECT customer_id, run_id, step, {MESSAGE_FOLD} FROM {_EVENTS} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) f
    WHERE m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step
    RETURNING m.customer_id,
        CAST(f.opens + f.clicks > 0 AND m.opens + m.clicks = f.opens + f.clicks AS integer) AS first_open,
        CAST(f.clicks > 0 AND m.clicks = f.clicks AS integer) AS first_click
""")  # noqa: S608

_UPDATE_ACTIVITY = text(f"""
    UPDATE activity a SET
        last_opened_at = greatest(a.last_opened_at, f.last_opened_at),
        last_clicked_at = greatest(a.last_clicked_at, f.last_clicked_at),
        engagement_score = nullif(coalesce(a.engagement_score, 0) + coalesce(p.points, 0), 0)
    FROM (
        SELECT coalesce(c.merged_into, c.id) AS customer_id, {PERSON_FOLD}
        FROM {_EVENTS} JOIN customers c ON c.id = e.customer_id WHERE NOT machine GROUP BY 1 ORDER BY 1
    ) f LEFT JOIN (
        SELECT coalesce(c.merged_into, c.id) AS customer_id, sum(points) AS points
        FROM unnest(CAST(:earners AS bigint[]), CAST(:points AS integer[])) AS e(customer_id, points)
        JOIN customers c ON c.id = e.customer_id GROUP BY 1
    ) p ON p.customer_id = f.customer_id
    WHERE a.customer_id = f.customer_id
""")  # noqa: S608

_STANDING = text(f"""
    SELECT coalesce(c.merged_into, f.customer_id) AS customer_id, m.run_id, m.channel, f.source, f.at, s.granted
    FROM {_FACTS} JOIN messages m ON {MESSAGE}
    LEFT JOIN standing_consents s
      ON s.customer_id = coalesce(c.merged_into, f.customer_id) AND s.channel = m.channel AND s.purpose = '{MARKETING}'
""")  # noqa: S608

_WORD = """
    UPDATE messages m SET unsubscribed_at = {value} FROM {facts}
    WHERE {message} AND m.unsubscribed_at IS {before} RETURNING f.key, m.customer_id
"""
_UNSUBSCRIBE = text(_WORD.format(value="f.at", facts=_FACTS, message=MESSAGE, before="NULL"))
_RESUBSCRIBE = text(_WORD.format(value="NULL", facts=_FACTS, message=MESSAGE, before="NOT NULL"))

_INSERT_WORDS = text(f"""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, attributes)
    SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step,
           CAST(f.attributes AS jsonb)
    FROM {_FACTS} JOIN messages m ON {MESSAGE}
    WHERE f.key = ANY (CAST(:changed AS uuid[]))
    ON CONFLICT DO NOTHING
""")  # noqa: S608

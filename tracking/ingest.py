"""Facts become events, and events move the folds: what was seen of a message (`tracking.seen`), and what people said of
such mail, which also goes to the consent ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import note_changed
from customers.consents import MARKETING, ConsentEntry, record_consents
from customers.merging import hold_all
from customers.results import Consent
from tracking.facts import Fact, FactKind
from tracking.folds import SEEN_KINDS
from tracking.rejudging import look_again
from tracking.seen import BOUND_FACTS, MESSAGE, fact_arrays, store_seen


async def store(conn: AsyncConnection, facts: Sequence[Fact], now: datetime) -> None:
    """Record facts about messages. Repeating one changes nothing; one about a message that is not there is
    dropped."""
    seen = [fact for fact in facts if fact.kind in SEEN_KINDS]
    visits = [fact for fact in facts if fact.kind is FactKind.PAGE_VISIT]
    said = {fact.key: fact for fact in facts if fact.kind in _WORDS}  # a person's last word on a message
    if seen and await store_seen(conn, seen):
        await look_again(conn)
    if visits:
        await _store_visits(conn, visits)
    for kind, granted in ((FactKind.UNSUBSCRIBED, False), (FactKind.RESUBSCRIBED, True)):
        words = [fact for fact in said.values() if fact.kind is kind]
        if words:
            await _store_words(conn, words, now, granted=granted)


async def _store_visits(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    """They move no fold: a visit says nothing of the message that it did not say when it was clicked."""
    people = (await conn.execute(_INSERT_VISITS, fact_arrays(facts))).scalars()
    await note_changed(conn, "events", set(people))


async def _store_words(conn: AsyncConnection, facts: Sequence[Fact], now: datetime, *, granted: bool) -> None:
    """Let people's word on such mail stand; where it changes what the message says, that is an event."""
    await hold_all(conn, {fact.key.customer_id for fact in facts})  # what they say must not go to who they were
    arrays = fact_arrays(facts)
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


_WORDS = (FactKind.UNSUBSCRIBED, FactKind.RESUBSCRIBED)

_INSERT_VISITS = text(f"""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link, link_folded,
                        machine, machine_reason, attributes)
    SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step, f.link,
           f.link_folded, f.machine IS NOT NULL, f.machine, CAST(f.attributes AS jsonb)
    FROM {BOUND_FACTS} JOIN messages m ON {MESSAGE}
    ON CONFLICT DO NOTHING
    RETURNING customer_id
""")  # noqa: S608 -- put together from our own words

_STANDING = text(f"""
    SELECT coalesce(c.merged_into, f.customer_id) AS customer_id, m.run_id, m.channel, f.source, f.at, s.granted
    FROM {BOUND_FACTS} JOIN messages m ON {MESSAGE}
    LEFT JOIN standing_consents s
      ON s.customer_id = coalesce(c.merged_into, f.customer_id) AND s.channel = m.channel AND s.purpose = '{MARKETING}'
""")  # noqa: S608

# What was said and kept once (and comes again from a spool) is not said again.
_WORD = """
    UPDATE messages m SET unsubscribed_at = {value} FROM {facts}
    WHERE {message} AND m.unsubscribed_at IS {before} AND NOT EXISTS (
        SELECT FROM events e WHERE e.customer_id = m.customer_id AND e.at = f.at AND e.key = f.key
    )
    RETURNING f.key, m.customer_id
"""
_UNSUBSCRIBE = text(_WORD.format(value="f.at", facts=BOUND_FACTS, message=MESSAGE, before="NULL"))
_RESUBSCRIBE = text(_WORD.format(value="NULL", facts=BOUND_FACTS, message=MESSAGE, before="NOT NULL"))

_INSERT_WORDS = text(f"""
    INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, attributes)
    SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step,
           CAST(f.attributes AS jsonb)
    FROM {BOUND_FACTS} JOIN messages m ON {MESSAGE}
    WHERE f.key = ANY (CAST(:changed AS uuid[]))
    ON CONFLICT DO NOTHING
""")  # noqa: S608

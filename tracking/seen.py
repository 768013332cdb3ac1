"""What was seen of a message (opens, views, clicks) becomes events, and moves the folds: one statement a group, since
hundreds of groups a second may come by.

Each event is one row for ever, only a new row moves a fold, and every fold is a sum or a first or last time: in
whatever order groups commit, `hearth db recount` finds the same numbers. Rows are touched in the order events,
messages, activity, each by key, so that groups which meet wait for each other instead of locking up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY
from customers.engagement import ENGAGEMENT
from runtime.database import run_straight
from runtime.text import fold
from tracking.facts import Fact
from tracking.folds import EARNED, MESSAGE_FOLD, PERSON_FOLD, SCORES
from tracking.ledger import MessageKey
from tracking.machines import FAST, FASTEST_PERSON
from tracking.rejudging import LOOK_BACK, rejudge

# The message m that a fact f of customer c is about: after a merge it is the survivor's, unless the survivor had one of
# the same run and the old id kept its own.
MESSAGE = """
    m.run_id = f.run_id AND m.step = f.step AND m.customer_id = CASE
        WHEN c.merged_into IS NULL OR EXISTS (
            SELECT FROM messages own
            WHERE own.customer_id = f.customer_id AND own.run_id = f.run_id AND own.step = f.step
        ) THEN f.customer_id ELSE c.merged_into END
"""


async def store_seen(conn: AsyncConnection, facts: Sequence[Fact]) -> None:
    """Record facts of SEEN_KINDS. Repeating one changes nothing; one about a message that is not there is dropped."""
    moved = await run_straight(conn, _STORE, fact_arrays(facts))
    earlier = sorted({customer for customer, _, _, before, _ in moved if before})
    if earlier:  # points that were counted already were earned before that: with the row of activity in hand, anew
        await conn.execute(_REFOLD_SCORES, {"ids": earlier})
    doubtful = [MessageKey(*key) for *key, _, doubt in moved if doubt]
    if doubtful:
        await rejudge(conn, doubtful, min(fact.at for fact in facts))


def fact_arrays(facts: Sequence[Fact]) -> dict[str, str]:
    """The facts in the order of their messages, as one array a column in PostgreSQL's own spelling: the driver would
    look at each value."""
    ordered = sorted(facts, key=lambda fact: (fact.key, fact.at))
    return {
        "people": _array(str(fact.key.customer_id) for fact in ordered),
        "runs": _array(str(fact.key.run_id) for fact in ordered),
        "steps": _array(str(fact.key.step) for fact in ordered),
        "at": _array(fact.at.isoformat() for fact in ordered),
        "keys": _array(fact.event_key.hex for fact in ordered),
        "kinds": _array(fact.kind for fact in ordered),
        "machines": _array(_quoted(fact.machine) for fact in ordered),
        "links": _array(_quoted(fact.link) for fact in ordered),
        "folded": _array(_quoted(fold(fact.link)) for fact in ordered),
        "attributes": _array(_raw(fact.agent, fact.link_index, fact.source) for fact in ordered),
        "sources": _array(_quoted(fact.source or "page") for fact in ordered),
    }


def _array(elements: Iterable[str]) -> str:
    return "{" + ",".join(elements) + "}"


@lru_cache(maxsize=4096)
def _quoted(value: str | None) -> str:
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=4096)
def _raw(agent: str, link_index: int | None, source: str | None) -> str:
    """What the event keeps beside: PostgreSQL takes neither NUL nor half a surrogate pair; nobody needs more of a user
    agent than 500 characters."""
    said = agent[:500].replace("\0", "").encode(errors="replace").decode()
    raw = {"user_agent": said or None, "link": link_index, "source": source}
    return _quoted(json.dumps({name: value for name, value in raw.items() if value is not None}, ensure_ascii=False))


FACTS = """
    unnest(CAST({people} AS bigint[]), CAST({runs} AS bigint[]), CAST({steps} AS smallint[]),
           CAST({at} AS timestamptz[]), CAST({keys} AS uuid[]), CAST({kinds} AS text[]), CAST({machines} AS text[]),
           CAST({links} AS text[]), CAST({folded} AS text[]), CAST({attributes} AS text[]), CAST({sources} AS text[]))
    AS f(customer_id, run_id, step, at, key, kind, machine, link, link_folded, attributes, source)
    LEFT JOIN customers c ON c.id = f.customer_id
"""
_NAMES = ("people", "runs", "steps", "at", "keys", "kinds", "machines", "links", "folded", "attributes", "sources")
BOUND_FACTS = FACTS.format(**{name: f":{name}" for name in _NAMES})  # for SQLAlchemy's text
_DRIVER_FACTS = FACTS.format(**{name: f"%({name})s" for name in _NAMES})

# A fetch before the message counts as sent, or at once after, is no person's; one whose answer never came was sent.
_STORE = f"""
    WITH seen AS (
        INSERT INTO events (customer_id, at, key, kind, kind_folded, channel, campaign_id, run_id, step, link,
                            link_folded, machine, machine_reason, attributes)
        SELECT m.customer_id, f.at, f.key, f.kind, f.kind, m.channel, m.campaign_id, m.run_id, m.step, f.link,
               f.link_folded, judged.reason IS NOT NULL, judged.reason, CAST(f.attributes AS jsonb)
        FROM {_DRIVER_FACTS} JOIN messages m ON {MESSAGE}
        CROSS JOIN LATERAL (
            SELECT coalesce(f.machine, CASE
                WHEN m.state IN ('queued', 'sending') AND m.sent_at IS NULL THEN '{FAST}'
                WHEN f.at < m.sent_at + interval '{FASTEST_PERSON.total_seconds()} s' THEN '{FAST}' END) AS reason
        ) judged
        ON CONFLICT DO NOTHING
        RETURNING customer_id, run_id, step, at, kind, machine
    ), moved AS (
        UPDATE messages m SET
            opens = m.opens + f.opens,
            clicks = m.clicks + f.clicks,
            opened_at = least(m.opened_at, f.opened_at),
            clicked_at = least(m.clicked_at, f.clicked_at),
            machine_opened_at = least(m.machine_opened_at, f.machine_opened_at),
            machine_clicked_at = least(m.machine_clicked_at, f.machine_clicked_at)
        FROM (SELECT customer_id, run_id, step, {MESSAGE_FOLD} FROM seen GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) f
        WHERE m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step
        RETURNING m.customer_id,
            CASE WHEN f.opens + f.clicks > 0 AND m.opens + m.clicks = f.opens + f.clicks THEN f.opened_at END
                AS opened_at,
            CASE WHEN f.clicks > 0 AND m.clicks = f.clicks THEN f.clicked_at END AS clicked_at,
            coalesce((m.opens + m.clicks > f.opens + f.clicks AND m.opened_at = f.opened_at)
                OR (m.clicks > f.clicks AND m.clicked_at = f.clicked_at), false) AS earlier,
            m.opens + m.clicks > 0 AND coalesce(m.clicks > 1 OR m.machine_clicked_at IS NOT NULL, false)
                AND coalesce(f.clicks > 0 OR f.machine_clicked_at IS NOT NULL
                    OR m.machine_clicked_at > f.opened_at - interval '{LOOK_BACK.total_seconds()} s', false) AS doubt,
            m.run_id, m.step
    ), points AS (
        SELECT coalesce(c.merged_into, c.id) AS customer_id, earned.until,
            max(earned.until) OVER (PARTITION BY coalesce(c.merged_into, c.id)) AS top
        FROM moved JOIN customers c ON c.id = moved.customer_id
        CROSS JOIN LATERAL (VALUES ({EARNED[0]}), ({EARNED[1]})) AS earned(until)
        WHERE earned.until IS NOT NULL
    ), active AS (
        UPDATE activity a SET
            last_opened_at = greatest(a.last_opened_at, f.last_opened_at),
            last_clicked_at = greatest(a.last_clicked_at, f.last_clicked_at),
            engaged_until = {ENGAGEMENT.joined_sql("a.engaged_until", "p.engaged_until")}
        FROM (
            SELECT coalesce(c.merged_into, c.id) AS customer_id, {PERSON_FOLD}
            FROM seen e JOIN customers c ON c.id = e.customer_id WHERE NOT e.machine GROUP BY 1 ORDER BY 1
        ) f LEFT JOIN (
            SELECT customer_id, {ENGAGEMENT.sum_sql("until", "top")} AS engaged_until FROM points GROUP BY 1
        ) p ON p.customer_id = f.customer_id
        WHERE a.customer_id = f.customer_id
    ), noted AS (
        INSERT INTO changed_customers (sources, ids)
        SELECT ARRAY['{ACTIVITY}', 'events', 'messages'], array_agg(DISTINCT customer_id) FROM seen HAVING count(*) > 0
    )
    SELECT customer_id, run_id, step, earlier, doubt FROM moved
"""  # noqa: S608 -- put together from our own words

_REFOLD_SCORES = text(f"""
    WITH meant AS (
        SELECT DISTINCT coalesce(merged_into, id) AS id FROM customers WHERE id = ANY(CAST(:ids AS bigint[]))
    ), anew AS ({SCORES.format(which="(c.id IN (SELECT id FROM meant) OR c.merged_into IN (SELECT id FROM meant))")})
    UPDATE activity a SET engaged_until = anew.engaged_until FROM anew WHERE a.customer_id = anew.customer_id
""")  # noqa: S608

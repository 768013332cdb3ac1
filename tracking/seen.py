"""What was seen of a message (opens, views, clicks) becomes events, and moves the folds: one statement a group, which
commits by itself, since hundreds of groups a second may come by.

Each event is one row for ever, only a new row moves a fold, and every fold is a sum or a first or last time: in
whatever order groups commit, `hearth db recount` finds the same numbers. Rows are touched in the order events,
messages, activity, each by key, so that groups which meet wait for each other instead of locking up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY
from customers.engagement import ENGAGEMENT
from runtime.database import run_straight
from runtime.text import fold
from tracking.facts import Fact
from tracking.folds import EARNED, MESSAGE_FOLD, PERSON_FOLD
from tracking.machines import FAST, FASTEST_PERSON
from tracking.rejudging import AT_ONCE, LOOK_BACK

# The message m that a fact f of customer c is about: after a merge it is the survivor's, unless the survivor had one of
# the same run and the old id kept its own.
MESSAGE = """
    m.run_id = f.run_id AND m.step = f.step AND m.customer_id = CASE
        WHEN c.merged_into IS NULL OR EXISTS (
            SELECT FROM messages own
            WHERE own.customer_id = f.customer_id AND own.run_id = f.run_id AND own.step = f.step
        ) THEN f.customer_id ELSE c.merged_into END
"""


async def store_seen(conn: AsyncConnection, facts: Sequence[Fact]) -> bool:
    """Record facts of SEEN_KINDS. Repeating one changes nothing; one about a message that is not there is dropped.
    Whether `rejudging.look_again` has work; should nobody call it now, it stays noted."""
    [[noted]] = await run_straight(conn, _STORE, fact_arrays(facts))
    return bool(noted)


def fact_arrays(facts: Sequence[Fact]) -> dict[str, str]:
    """The facts in the order of their messages, as one array a column in PostgreSQL's own spelling: the driver would
    look at each value."""
    columns = zip(*map(_spelled, sorted(facts, key=_KEY)), strict=True)
    return {name: "{" + ",".join(column) + "}" for name, column in zip(_NAMES, columns, strict=True)}


_KEY = attrgetter("key")


def _spelled(fact: Fact) -> tuple[str, ...]:
    """One element of each array, as _NAMES has them."""
    customer, run, step = fact.key
    rest = _told(fact.kind, fact.machine, fact.link, fact.agent, fact.link_index, fact.source)
    return (str(customer), str(run), str(step), *fact.at_and_key(), *rest)


@lru_cache(maxsize=4096)
def _told(
    kind: str, machine: str | None, link: str | None, agent: str, link_index: int | None, source: str | None
) -> tuple[str, ...]:
    """What many facts have in common."""
    raw = _raw(agent, link_index, source)
    return kind, _quoted(machine), _quoted(link), _quoted(fold(link)), raw, _quoted(source or "page")


def _quoted(value: str | None) -> str:
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


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

# Whether other clicks on the message m are near enough to the only one of f to be one sweep with it: those that the
# statement sees, and those that were committed while it waited for the message.
_CLICKED_AROUND = f"""
    f.clicks > 1
    OR m.clicks > 1 + (
        SELECT clicks FROM messages b WHERE b.customer_id = m.customer_id AND b.run_id = m.run_id AND b.step = m.step
    )
    OR EXISTS (
        SELECT FROM events e
        WHERE e.customer_id = m.customer_id AND e.run_id = m.run_id AND e.step = m.step AND e.kind = 'clicked'
          AND e.at BETWEEN f.clicked_at - interval '{AT_ONCE.total_seconds()} s'
                       AND f.clicked_at + interval '{AT_ONCE.total_seconds()} s'
    )
"""  # noqa: S608 -- put together from our own words

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
        FROM (
            SELECT customer_id, run_id, step, min(at) AS since, {MESSAGE_FOLD}, {PERSON_FOLD}
            FROM seen GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ) f JOIN customers c ON c.id = f.customer_id
        WHERE m.customer_id = f.customer_id AND m.run_id = f.run_id AND m.step = f.step
        RETURNING m.customer_id, m.run_id, m.step, coalesce(c.merged_into, c.id) AS person, f.since,
            f.last_opened_at, f.last_clicked_at,
            CASE WHEN f.opens + f.clicks > 0 AND m.opens + m.clicks = f.opens + f.clicks THEN f.opened_at END
                AS opened_at,
            CASE WHEN f.clicks > 0 AND m.clicks = f.clicks THEN f.clicked_at END AS clicked_at,
            coalesce((m.opens + m.clicks > f.opens + f.clicks AND m.opened_at = f.opened_at)
                OR (m.clicks > f.clicks AND m.clicked_at = f.clicked_at), false) AS earlier,
            m.opens + m.clicks > 0 AND CASE WHEN m.machine_clicked_at IS NOT NULL
                THEN coalesce(f.clicks > 0 OR f.machine_clicked_at IS NOT NULL
                    OR m.machine_clicked_at > f.opened_at - interval '{LOOK_BACK.total_seconds()} s', false)
                ELSE f.clicks > 0 AND m.clicks > 1 AND ({_CLICKED_AROUND}) END AS machine
    ), points AS (
        SELECT person, earned.until, max(earned.until) OVER (PARTITION BY person) AS top
        FROM moved CROSS JOIN LATERAL (VALUES ({EARNED[0]}), ({EARNED[1]})) AS earned(until)
        WHERE earned.until IS NOT NULL
    ), active AS (
        UPDATE activity a SET
            last_opened_at = greatest(a.last_opened_at, f.last_opened_at),
            last_clicked_at = greatest(a.last_clicked_at, f.last_clicked_at),
            engaged_until = {ENGAGEMENT.joined_sql("a.engaged_until", "p.engaged_until")}
        FROM (
            SELECT person, max(last_opened_at) AS last_opened_at, max(last_clicked_at) AS last_clicked_at
            FROM moved WHERE last_opened_at IS NOT NULL GROUP BY 1 ORDER BY 1
        ) f LEFT JOIN (
            SELECT person, {ENGAGEMENT.sum_sql("until", "top")} AS engaged_until FROM points GROUP BY 1
        ) p ON p.person = f.person
        WHERE a.customer_id = f.person
    ), noted AS (
        INSERT INTO changed_customers (sources, ids)
        SELECT ARRAY['{ACTIVITY}', 'events', 'messages'], array_agg(DISTINCT customer_id) FROM seen HAVING count(*) > 0
    ), looks AS (
        INSERT INTO second_looks (customer_id, run_id, step, since, machine, earlier)
        SELECT customer_id, run_id, step, since, machine, earlier FROM moved WHERE machine OR earlier
        RETURNING 1
    )
    SELECT count(*) FROM looks
"""  # noqa: S608 -- put together from our own words

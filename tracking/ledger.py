"""The ledger of messages: what a sender may take, what came of it, and how many stand where.

Statements are set-based and touch rows in the order (messages, activity), each by key, so that groups which meet wait
for each other instead of locking up. The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, change_and_note, note_changed
from runtime.database import run_straight
from tracking.answers import alike
from tracking.counts import campaign_counts, count_states, messages_page
from tracking.states import State, moves
from tracking.tallies import ANSWERED

__all__ = [
    "Due",
    "MessageKey",
    "Outcome",
    "campaign_counts",
    "cancel_queued",
    "count_states",
    "due",
    "give_up",
    "mark_sending",
    "messages_page",
    "record_outcomes",
]


class MessageKey(NamedTuple):
    """Who, in which run, at which step of it (0 outside journeys)."""

    customer_id: int
    run_id: int
    step: int = 0


class Outcome(NamedTuple):
    """What became of a message at `at` (aware).

    `reason`: the server's words, or why it was skipped. `not_before`: for QUEUED, when it is due again. `tried`
    False: it was only put off (a throttle), which is no attempt. `provider_id`: the id under which later events
    speak of it.
    """

    key: MessageKey
    state: State
    at: datetime
    provider_id: str | None = None
    reason: str | None = None
    not_before: datetime | None = None
    tried: bool = True


class Due(NamedTuple):
    """A message that a sender may take now. `created_at` is stable across retries; `attempts` were made before.
    `variant` of an experiment, None outside of its test. `reason`: what was said of the last attempt."""

    key: MessageKey
    address: str
    state: State
    attempts: int
    created_at: datetime
    variant: int | None = None
    reason: str | None = None


async def record_outcomes(conn: AsyncConnection, outcomes: Sequence[Outcome]) -> int:
    """Write what became of messages, where the table of moves allows it; answers how many moved.

    Repeating an outcome moves nothing. A message whose customer was merged meanwhile is found at the survivor. One
    statement as a rule, so that it can also commit by itself.
    """
    moved = 0
    for unique in _rounds(outcomes):
        missing = await _apply(conn, unique)
        moved += len(unique) - len(missing)
        if missing:
            survivors = await _at_survivors(conn, missing)
            moved += len(survivors) - len(await _apply(conn, survivors))
    return moved


async def due(conn: AsyncConnection, run_id: int, batch: int, now: datetime, limit: int = 10_000) -> list[Due]:
    """The messages of a batch that may be sent at `now`, by key."""
    rows = await run_straight(conn, _DUE, {"run": run_id, "batch": batch, "now": now, "limit": limit})
    return [
        Due(MessageKey(customer_id, run_id, step), address, State.QUEUED, attempts, created_at, variant, reason)
        for customer_id, step, address, attempts, created_at, variant, reason in rows
    ]


async def mark_sending(conn: AsyncConnection, keys: Sequence[MessageKey]) -> set[MessageKey]:
    """Mark queued messages as `sending`, for channels that never hand one over twice; answers those still queued.

    Commit before the submit: after a crash they stay `sending` until `give_up` says that nobody knows.
    """
    rows = await conn.execute(_MARK, _key_arrays(sorted(keys)))
    marked = {MessageKey(*row) for row in rows}
    await note_changed(conn, "messages", {key.customer_id for key in marked})
    return marked


async def give_up(conn: AsyncConnection, run_id: int, batch: int) -> int:
    """What a sender that died left as `sending` is `unknown` from now on: held for a person. Answers how many."""
    return await change_and_note(conn, "messages", _GIVE_UP, {"run": run_id, "batch": batch})


async def cancel_queued(conn: AsyncConnection, run_id: int, *, reason: str | None = None, from_batch: int = 0) -> int:
    """Cancel what of a run, from that batch on, was not handed over yet. Answers how many."""
    return await change_and_note(conn, "messages", _CANCEL, {"run": run_id, "reason": reason, "from": from_batch})


async def _apply(conn: AsyncConnection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Messages, the customers' activity, the note of both, the tally; answers those that moved nothing. Keys must be
    unique."""
    if not outcomes:
        return []
    ordered = sorted(outcomes, key=attrgetter("key"))
    rows = orjson.dumps([_as_row(place, outcome) for place, outcome in enumerate(ordered)])
    return [ordered[place] for (place,) in await run_straight(conn, _RECORD, {"rows": rows.decode()})]


async def _at_survivors(conn: AsyncConnection, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same outcomes under the customers that theirs were merged into; those of unmerged customers fall away."""
    people = sorted({outcome.key.customer_id for outcome in outcomes})
    survivor = {row.id: row.merged_into for row in await conn.execute(_SURVIVORS, {"people": people})}
    return [
        outcome._replace(key=outcome.key._replace(customer_id=survivor[outcome.key.customer_id]))
        for outcome in outcomes
        if outcome.key.customer_id in survivor
    ]


def _rounds(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Split so that no message occurs twice in a round; a message's outcomes keep their order."""
    rounds: list[list[Outcome]] = []
    seen: dict[MessageKey, int] = {}
    for outcome in outcomes:
        turn = seen.get(outcome.key, 0)
        seen[outcome.key] = turn + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(outcome)
    return iter(rounds)


def _key_arrays(keys: Sequence[MessageKey]) -> dict[str, list[Any]]:
    return {
        "people": [key.customer_id for key in keys],
        "runs": [key.run_id for key in keys],
        "steps": [key.step for key in keys],
    }


def _as_row(place: int, outcome: Outcome) -> dict[str, Any]:
    key, reason = outcome.key, outcome.reason
    return {
        "place": place,
        "customer_id": key.customer_id,
        "run_id": key.run_id,
        "step": key.step,
        "state": outcome.state,
        "at": outcome.at,
        "provider_id": outcome.provider_id,
        "reason": None if reason is None else _printable(reason),
        "answer": alike(_printable(reason)) if reason and outcome.state in ANSWERED else "",
        "not_before": outcome.not_before,
        "tried": int(outcome.tried and outcome.state in _TRIES),
    }


def _printable(reason: str) -> str:
    """A server's words may hold anything; PostgreSQL refuses NUL and halves of characters, and nobody reads more than
    1,000 characters."""
    short = reason.replace("\0", "")[:1000]
    return short if short.isascii() else short.encode(errors="replace").decode()


_TRIES = frozenset({State.QUEUED, State.SENT, State.FAILED, State.UNKNOWN})

_DUE = """
    SELECT customer_id, step, address, attempts, created_at, variant, reason FROM messages
    WHERE run_id = %(run)s AND batch = %(batch)s AND state = 'queued'
      AND (not_before IS NULL OR not_before <= %(now)s)
    ORDER BY customer_id, step LIMIT %(limit)s
"""

_MARK = text("""
    UPDATE messages m SET state = 'sending'
    FROM unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]))
         AS k(customer_id, run_id, step)
    WHERE m.customer_id = k.customer_id AND m.run_id = k.run_id AND m.step = k.step AND m.state = 'queued'
    RETURNING m.customer_id, m.run_id, m.step
""")

_GIVE_UP = """
    UPDATE messages SET state = 'unknown', doubted_at = now(), reason = 'the sender stopped before the answer came'
    WHERE run_id = :run AND batch = :batch AND state = 'sending'
    RETURNING customer_id
"""

_CANCEL = """
    UPDATE messages SET state = 'cancelled', not_before = NULL, reason = coalesce(CAST(:reason AS text), reason)
    WHERE run_id = :run AND state = 'queued' AND coalesce(batch, 0) >= :from
    RETURNING customer_id
"""

_MOVES = ",".join(moves())
_CHANGED = ",".join(sorted(["messages", ACTIVITY]))

# Each part reads the one before whole: messages are locked before activity, both by key.
_RECORD = f"""
    WITH o AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(%(rows)s AS json)) AS given(
            place integer, customer_id bigint, run_id bigint, step smallint, state text, at timestamptz,
            provider_id text, reason text, answer text, not_before timestamptz, tried integer)
    ), moved AS (
        UPDATE messages m SET
            state = o.state,
            reason = o.reason,
            provider_id = coalesce(o.provider_id, m.provider_id),
            not_before = o.not_before,
            doubted_at = CASE WHEN o.state = 'unknown' THEN o.at ELSE m.doubted_at END,
            attempts = m.attempts + o.tried,
            sent_at = coalesce(m.sent_at, CASE WHEN o.state IN ('sent', 'delivered', 'bounced') THEN o.at END),
            delivered_at = CASE WHEN o.state = 'delivered' THEN o.at ELSE m.delivered_at END,
            failed_at = CASE WHEN o.state IN ('bounced', 'failed') THEN o.at ELSE m.failed_at END
        FROM o
        WHERE m.customer_id = o.customer_id AND m.run_id = o.run_id AND m.step = o.step
          AND m.state || '>' || o.state = ANY ('{{{_MOVES}}}')
        RETURNING o.place, m.customer_id, m.run_id, m.sent_at, m.address, m.state, m.reason, o.answer
    ), contacted AS (
        UPDATE activity a SET last_contacted_at = c.at
        FROM (
            SELECT coalesce(customers.merged_into, customers.id) AS customer_id, max(moved.sent_at) AS at
            FROM moved JOIN customers ON customers.id = moved.customer_id
            WHERE moved.sent_at IS NOT NULL GROUP BY 1 ORDER BY 1
        ) c
        WHERE a.customer_id = c.customer_id AND (a.last_contacted_at IS NULL OR a.last_contacted_at < c.at)
    ), noted AS (
        INSERT INTO changed_customers (sources, ids)
        SELECT CAST('{{{_CHANGED}}}' AS text[]), array_agg(DISTINCT customer_id) FROM moved HAVING count(*) > 0
    ), tallied AS (
        INSERT INTO tallies (run_id, results)
        SELECT run_id, jsonb_agg(jsonb_build_array(domain, state, answer, n, last))
        FROM (
            SELECT run_id, state, answer, count(*) AS n,
                   (array_agg(coalesce(reason, '') ORDER BY place DESC))[1] AS last,
                   CASE WHEN address LIKE '%%@%%' THEN lower(split_part(address, '@', -1)) ELSE '' END AS domain
            FROM moved GROUP BY run_id, domain, state, answer
        ) alike
        GROUP BY run_id
    )
    SELECT place FROM o WHERE place NOT IN (SELECT place FROM moved) ORDER BY place
"""  # noqa: S608 -- put together from our own words

_SURVIVORS = text("""
    SELECT id, merged_into FROM customers WHERE id = ANY (CAST(:people AS bigint[])) AND merged_into IS NOT NULL
""")

"""What shows only later that a machine was at work: every link followed at once, the link that nobody sees followed, or
only the headers of a link asked for.

The events that are stored already are flagged then, with the reason, and what they had moved is put right: `hearth db
recount` finds no difference. So is the score of who did earlier what was told later. `seen` notes with the facts where
that may be so (second_looks); the look itself has a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import ACTIVITY, note_changed
from tracking.folds import SCORES, SEEN_KINDS, SEEN_OF_MESSAGES, SEEN_OF_PEOPLE
from tracking.ledger import MessageKey
from tracking.machines import HEAD, TRAP

SWEEP = "sweep"  # followed every link at once, as no reader does
AT_ONCE = timedelta(seconds=10)
ENOUGH_LINKS = 5  # different ones, where a message has more
# Who followed the hidden link did what else happened then, too; who asked for headers alone, what bears the same name.
AROUND_TRAP = timedelta(seconds=60)
LOOK_BACK = 2 * AROUND_TRAP


async def look_again(conn: AsyncConnection) -> int:
    """Look again at the messages that are noted (second_looks) and that nobody else is looking at; how many. Whoever
    noted one calls this soon after; what a dead process left, others find."""
    noted = (await conn.execute(_TAKE)).all()
    if not noted:
        return 0
    await conn.execute(_HOLD_MESSAGES, _columns(sorted({_key(row) for row in noted})))
    people = {row.customer_id for row in noted if row.earlier}
    suspects = [row for row in noted if row.machine]
    if suspects:
        people |= await _rejudge(conn, sorted({_key(row) for row in suspects}), min(row.since for row in suspects))
    if people:
        ids = sorted(people)
        await conn.execute(_HOLD_PEOPLE, {"ids": ids})  # so that the next statement sees what others did to them
        await conn.execute(_REFOLD_PEOPLE, {"ids": ids})
        await note_changed(conn, (ACTIVITY, "events", "messages"), ids)
    return len(noted)


async def _rejudge(conn: AsyncConnection, keys: Sequence[MessageKey], since: datetime) -> set[int]:
    """Judge anew what was done to these messages, whose rows this transaction holds, from shortly before `since` on.
    The people of whom more is known now to be a machine's."""
    flagged = (await conn.execute(_FLAG, {**_columns(keys), "since": since - LOOK_BACK})).all()
    if flagged:
        await conn.execute(_REFOLD_MESSAGES, _columns(sorted({_key(row) for row in flagged})))
    return {row.customer_id for row in flagged}


def _key(row: Row[Any]) -> MessageKey:
    return MessageKey(row.customer_id, row.run_id, row.step)


def _columns(keys: Sequence[MessageKey]) -> dict[str, Any]:
    people, runs, steps = zip(*keys, strict=True)
    return {"people": list(people), "runs": list(runs), "steps": list(steps)}


_KINDS = ", ".join(f"'{kind}'" for kind in SEEN_KINDS)
_ASKED = """
    unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]))
    AS k(customer_id, run_id, step)
"""
_OF_MESSAGE = "{e}.customer_id = {k}.customer_id AND {e}.run_id = {k}.run_id AND {e}.step = {k}.step"
_JOINED = f"JOIN {_ASKED} ON {_OF_MESSAGE.format(e='{of}', k='k')}"

_TAKE = text("""
    DELETE FROM second_looks WHERE (customer_id, id) IN (
        SELECT customer_id, id FROM second_looks FOR UPDATE SKIP LOCKED
    )
    RETURNING customer_id, run_id, step, since, machine, earlier
""")
_HOLD_MESSAGES = text(f"""
    SELECT FROM messages m {_JOINED.format(of="m")} ORDER BY m.customer_id, m.run_id, m.step FOR NO KEY UPDATE OF m
""")

_FLAG = text(f"""
    WITH clicks AS MATERIALIZED (
        SELECT e.customer_id, e.run_id, e.step, e.at, e.machine_reason, e.attributes -> 'link' AS link,
               e.attributes ->> 'user_agent' AS agent
        FROM {_ASKED} JOIN events e ON {_OF_MESSAGE.format(e="e", k="k")}
        WHERE e.kind = 'clicked' AND e.at >= :since
    ), found AS (
        SELECT c.customer_id, c.run_id, c.step, c.at - interval '{AT_ONCE.total_seconds()} s' AS low,
               c.at + interval '{AT_ONCE.total_seconds()} s' AS high, '{SWEEP}' AS reason,
               CAST(NULL AS text) AS agent
        FROM clicks c JOIN link_tables l ON l.run_id = c.run_id
        WHERE jsonb_array_length(l.links) > 1 AND (
            SELECT count(DISTINCT o.link) FROM clicks o
            WHERE {_OF_MESSAGE.format(e="o", k="c")}
              AND o.at BETWEEN c.at AND c.at + interval '{AT_ONCE.total_seconds()} s'
        ) >= least(jsonb_array_length(l.links), {ENOUGH_LINKS})
        UNION ALL
        SELECT customer_id, run_id, step, at - interval '{AROUND_TRAP.total_seconds()} s',
               at + interval '{AROUND_TRAP.total_seconds()} s', machine_reason,
               CASE machine_reason WHEN '{HEAD}' THEN agent END
        FROM clicks WHERE machine_reason IN ('{TRAP}', '{HEAD}')
    )
    UPDATE events e SET machine = true, machine_reason = f.reason
    FROM found f
    WHERE {_OF_MESSAGE.format(e="e", k="f")} AND e.at BETWEEN f.low AND f.high AND e.at >= :since
      AND NOT e.machine AND e.kind IN ({_KINDS})
      AND (f.agent IS NULL OR f.agent = e.attributes ->> 'user_agent')
    RETURNING e.customer_id, e.run_id, e.step
""")  # noqa: S608 -- put together from our own words

_REFOLD_MESSAGES = text(f"""
    UPDATE messages m SET opens = f.opens, clicks = f.clicks, opened_at = f.opened_at, clicked_at = f.clicked_at,
        machine_opened_at = f.machine_opened_at, machine_clicked_at = f.machine_clicked_at
    FROM ({SEEN_OF_MESSAGES.format(of_events=_JOINED.format(of="e"), of_past=_JOINED.format(of="p"))}) f
    WHERE {_OF_MESSAGE.format(e="m", k="f")}
""")  # noqa: S608

_MEANT = """
    meant AS (SELECT DISTINCT coalesce(merged_into, id) AS id FROM customers WHERE id = ANY(CAST(:ids AS bigint[])))
"""
_THEIRS = "(c.id IN (SELECT id FROM meant) OR c.merged_into IN (SELECT id FROM meant))"
_HOLD_PEOPLE = text(f"""
    WITH {_MEANT}
    UPDATE activity a SET last_opened_at = a.last_opened_at
    FROM (SELECT id FROM meant ORDER BY id) m WHERE a.customer_id = m.id
""")  # noqa: S608
_REFOLD_PEOPLE = text(f"""
    WITH {_MEANT}
    UPDATE activity a SET last_opened_at = seen.last_opened_at, last_clicked_at = seen.last_clicked_at,
        engaged_until = score.engaged_until
    FROM meant LEFT JOIN ({SEEN_OF_PEOPLE.format(which=_THEIRS)}) seen ON seen.customer_id = meant.id
    LEFT JOIN ({SCORES.format(which=_THEIRS)}) score ON score.customer_id = meant.id
    WHERE a.customer_id = meant.id
""")  # noqa: S608

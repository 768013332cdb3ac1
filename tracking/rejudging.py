"""What shows only later that a machine was at work: every link followed at once, the link that nobody sees followed, or
only the headers of a link asked for.

The events that are stored already are flagged then, with the reason, and what they had moved is put right: `hearth db
recount` finds no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.folds import SCORES, SEEN_KINDS, SEEN_OF_MESSAGES, SEEN_OF_PEOPLE
from tracking.ledger import MessageKey
from tracking.machines import HEAD, TRAP

SWEEP = "sweep"  # followed every link at once, as no reader does
AT_ONCE = timedelta(seconds=10)
ENOUGH_LINKS = 5  # different ones, where a message has more
# Who followed the hidden link did what else happened then, too; who asked for headers alone, what bears the same name.
AROUND_TRAP = timedelta(seconds=60)
LOOK_BACK = 2 * AROUND_TRAP


async def rejudge(conn: AsyncConnection, keys: Sequence[MessageKey], since: datetime) -> None:
    """Look again at what was done to these messages, whose rows this transaction holds, from shortly before `since`
    on."""
    asked = _columns(keys)
    taken = (await conn.execute(_FLAG, {**asked, "since": since - LOOK_BACK})).all()
    if not taken:
        return
    await conn.execute(_REFOLD_MESSAGES, _columns(sorted({MessageKey(*row) for row in taken})))
    people = {"ids": sorted({row.customer_id for row in taken})}
    await conn.execute(_HOLD, people)  # so that the next statement sees what others did to them
    await conn.execute(_REFOLD_PEOPLE, people)


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
_HOLD = text(f"""
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

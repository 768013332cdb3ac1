"""What each commit of results did to the counts of a run: rows that are only ever added, so that senders never wait for
each other, and that whoever watches adds to counts taken before. `messages` is the truth; see campaigns/live.

A reader who counted under one snapshot of the database asks for the tallies that a later snapshot shows besides: each
commit is there exactly once, in whatever order commits end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tracking.models import tallies
from tracking.states import State

KEPT = timedelta(hours=1)
_LATEST_ROWS = 300
ANSWERED = frozenset({State.QUEUED, State.FAILED, State.BOUNCED, State.UNKNOWN})  # the reason is a server's answer


@dataclass(slots=True)
class Tally:
    """`n` messages of a run to one `domain` ("" where there is none) came to `state` at about `at` (of the database).
    `answer`: what servers said when they did not take them ("" else), alike ones as one; `last`: the last in full."""

    run_id: int
    domain: str
    state: str
    answer: str
    n: int
    last: str
    at: datetime


@dataclass(frozen=True)
class Lately:
    """`handled`: messages that came to an end in each second (of the epoch). `answers`: the last one of each domain."""

    handled: Mapping[int, int]
    answers: Mapping[str, str]


async def snapshot(conn: AsyncConnection) -> str:
    """What this transaction sees, for `tallies_since`; the transaction must be of REPEATABLE READ."""
    return str(await conn.scalar(text("SELECT CAST(pg_current_snapshot() AS text)")))


async def tallies_since(conn: AsyncConnection, seen: str, run_ids: Sequence[int]) -> list[Tally]:
    """What was committed after the snapshot `seen` and is visible now."""
    rows = await conn.execute(_SINCE, {"seen": seen, "runs": list(run_ids)})
    return [tally for row in rows for tally in _read(row)]


async def lately(conn: AsyncConnection, run_ids: Sequence[int], since: datetime) -> Lately:
    """What the tallies of these runs say of the time since."""
    values = {"since": since, "runs": list(run_ids)}
    handled = {row.second: row.n for row in await conn.execute(_BY_SECOND, values)}
    answers: dict[str, str] = {}
    for row in await conn.execute(_LATEST, {**values, "rows": _LATEST_ROWS}):
        for tally in _read(row):
            if tally.last:
                answers.setdefault(tally.domain, tally.last)
    return Lately(handled, answers)


async def forget_tallies(conn: AsyncConnection, now: datetime) -> None:
    """Nobody asks for what is older than KEPT."""
    await conn.execute(delete(tallies).where(tallies.c.at < now - KEPT))


def _read(row: Row[Any]) -> Iterable[Tally]:
    for domain, state, answer, n, last in row.results:
        yield Tally(row.run_id, domain, state, answer, n, last, row.at)


# A transaction that the snapshot saw under way may have numbered its row long before: the lowest of those is where
# to look from, by the index.
_SINCE = text("""
    SELECT run_id, at, results FROM tallies
    WHERE xid >= CAST(CAST(pg_snapshot_xmin(CAST(:seen AS pg_snapshot)) AS text) AS bigint)
      AND NOT pg_visible_in_snapshot(CAST(CAST(xid AS text) AS xid8), CAST(:seen AS pg_snapshot))
      AND run_id = ANY (CAST(:runs AS bigint[]))
    ORDER BY id
""")

_BY_SECOND = text("""
    SELECT CAST(extract(epoch FROM date_trunc('second', at)) AS bigint) AS second,
           sum(CAST(result ->> 3 AS integer)) AS n
    FROM tallies CROSS JOIN LATERAL jsonb_array_elements(results) AS result
    WHERE at >= :since AND run_id = ANY (CAST(:runs AS bigint[])) AND result ->> 1 NOT IN ('queued', 'cancelled')
    GROUP BY 1
""")

_LATEST = text("""
    SELECT run_id, at, results FROM tallies
    WHERE at >= :since AND run_id = ANY (CAST(:runs AS bigint[])) ORDER BY id DESC LIMIT :rows
""")

"""The exact counts of runs as of one snapshot of the database: the only look that scans their messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.live.figures import OTHERS, Waiting
from tracking.answers import alike
from tracking.tallies import ANSWERED

LARGEST = 40  # domains that are counted one by one
MOST_ANSWERS = 2_000  # answers that SQL finds different and that are looked at, the most frequent ones
MARKS = ("opened", "clicked", "unsubscribed")

Counted = Mapping[tuple[str, str], int]  # (domain, state) → messages


@dataclass(frozen=True)
class AnswerRow:
    """`n` messages to `domain` stand at `state` with an answer; `text` without what differs, one `example` in full."""

    state: str
    text: str
    domain: str
    n: int
    example: str


@dataclass(frozen=True)
class Base:
    """Of some runs."""

    counts: Counted
    marks: Mapping[str, int]
    waiting: Mapping[str, Waiting]
    answers: Sequence[AnswerRow]


async def count_runs(conn: AsyncConnection, run_ids: Sequence[int], now: datetime) -> Base:
    """All in one snapshot if `conn` is in a transaction of REPEATABLE READ."""
    values = {"runs": list(run_ids), "now": now, "largest": LARGEST, "others": OTHERS}
    rows = (await conn.execute(_COUNT, values)).all()
    return Base(
        {(row.domain, row.state): row.n for row in rows},
        {mark: sum(getattr(row, mark) for row in rows) for mark in MARKS},
        {row.domain: Waiting(row.waiting, row.first, row.last) for row in rows if row.waiting},
        await answers_of(conn, run_ids),
    )


async def answers_of(conn: AsyncConnection, run_ids: Sequence[int]) -> list[AnswerRow]:
    """What servers said of messages of these runs that failed, bounced, wait or are in doubt."""
    rows = await conn.execute(_ANSWERS, {"runs": list(run_ids), "most": MOST_ANSWERS})
    return [AnswerRow(row.state, alike(row.example), row.domain, row.n, row.example) for row in rows]


def together(waitings: Iterable[Waiting]) -> Waiting:
    """Of several domains."""
    found = [one for one in waitings if one.n]
    firsts = [one.first for one in found if one.first is not None]
    lasts = [one.last for one in found if one.last is not None]
    return Waiting(sum(one.n for one in found), min(firsts, default=None), max(lasts, default=None))


# The rest of an experiment waits for its decision.
_COUNT = text("""
    WITH standing AS (
        SELECT m.address, m.state, m.opened_at, m.clicked_at, m.unsubscribed_at,
               CASE WHEN m.batch >= e.held_from THEN greatest(m.not_before, e.due_at)
                    ELSE m.not_before END AS not_before
        FROM messages m LEFT JOIN experiments e ON e.run_id = m.run_id AND e.state = 'testing'
        WHERE m.run_id = ANY (CAST(:runs AS bigint[]))
    ), found AS (
        SELECT CASE WHEN state <> 'skipped' THEN split_part(lower(address), '@', 2) ELSE '' END AS domain, state,
               count(*) AS n, count(opened_at) AS opened, count(clicked_at) AS clicked,
               count(unsubscribed_at) AS unsubscribed,
               count(*) FILTER (WHERE state = 'queued' AND not_before > :now) AS waiting,
               min(not_before) FILTER (WHERE state = 'queued' AND not_before > :now) AS first,
               max(not_before) FILTER (WHERE state = 'queued' AND not_before > :now) AS last
        FROM standing GROUP BY 1, 2
    ), large AS (
        SELECT domain FROM found GROUP BY 1 ORDER BY domain = '' DESC, sum(n) DESC, domain LIMIT :largest
    )
    SELECT coalesce(large.domain, :others) AS domain, state, CAST(sum(n) AS bigint) AS n,
           CAST(sum(opened) AS bigint) AS opened, CAST(sum(clicked) AS bigint) AS clicked,
           CAST(sum(unsubscribed) AS bigint) AS unsubscribed, CAST(sum(waiting) AS bigint) AS waiting,
           min(first) AS first, max(last) AS last
    FROM found LEFT JOIN large USING (domain) GROUP BY 1, 2
""")

# Ids differ from message to message: words with figures in them are set aside before counting, but those at the
# beginning, which are the codes.
_ANSWERS = text(rf"""
    SELECT state, split_part(lower(address), '@', 2) AS domain, min(reason) AS example, count(*) AS n
    FROM messages
    WHERE run_id = ANY (CAST(:runs AS bigint[])) AND reason IS NOT NULL
      AND state IN ({", ".join(f"'{state}'" for state in sorted(ANSWERED))})
    GROUP BY state, domain, left(reason, 24), regexp_replace(substr(reason, 25), '\S*[0-9@]\S*', '', 'g')
    ORDER BY n DESC, domain LIMIT :most
""")  # noqa: S608 -- the states of this program

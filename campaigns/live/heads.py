"""Which campaigns are under way, and in which state: small tables only."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.batch import send_batch
from campaigns.halt import by_hand
from campaigns.live.figures import Head, Obstacles, RunHead, Warned
from campaigns.sending.evidence import LATE
from campaigns.sending.holds import holds_now
from campaigns.states import LIVE, RunState, State

MOST_RUNS = 5  # of one campaign in view
MOST = 50  # campaigns under way that are shown at a glance
MOST_WARNED = 8


async def heads(conn: AsyncConnection, campaign_ids: Collection[int], *, under_way: bool) -> dict[int, Head]:
    """Those of these campaigns that are there; and with `under_way` all that prepare or send."""
    values = {"ids": list(campaign_ids), "all": under_way, "runs": MOST_RUNS, "most": MOST}
    rows = (await conn.execute(_HEADS, values)).all()
    return {campaign_id: _head(list(found)) for campaign_id, found in groupby(rows, lambda row: row.id)}


async def paused(conn: AsyncConnection) -> int:
    """How many campaigns are paused."""
    return int(await conn.scalar(_PAUSED) or 0)


async def warned(conn: AsyncConnection, now: datetime) -> list[Warned]:
    """Campaigns that need somebody: those that were paused by themselves first, then those with an alarm."""
    values = {"by_hand": by_hand("%"), "since": now - LATE, "most": MOST_WARNED}
    return [Warned(row.id, row.name, State(row.state), row.reason) for row in await conn.execute(_WARNED, values)]


async def obstacles(conn: AsyncConnection, run_ids: Collection[int], now: datetime) -> Obstacles:
    """What keeps messages of these runs back at `now`."""
    rows = await conn.execute(_RESTS, {"task": send_batch.name, "runs": list(run_ids), "now": now})
    held = {hold.name: hold.until for hold in await holds_now(conn) if hold.until > now}
    return Obstacles({row.run_id: row.next_at for row in rows if row.next_at is not None and not row.busy}, held)


def _head(rows: list[Row[Any]]) -> Head:
    first = rows[0]
    columns = ("run_id", "run_state", "occurrence", "frozen_at", "note", "error")
    found = [
        RunHead(values[0], RunState(values[1]), *values[2:])
        for row in rows
        if row.run_id is not None and (values := [row._mapping[column] for column in columns])
    ]
    alive = [run for run in found if run.state in LIVE]
    own = (first.pause_reason, first.alarm, first.next_at)
    return Head(first.id, first.name, first.channel, State(first.state), *own, alive or found[:1])


_HEADS = text("""
    SELECT c.id, c.name, c.channel, c.state, c.pause_reason, coalesce(c.alarm, s.error) AS alarm, s.next_at,
           r.id AS run_id, r.state AS run_state, r.occurrence, r.frozen_at, r.note, r.error
    FROM (
        SELECT * FROM campaigns WHERE id = ANY (CAST(:ids AS bigint[]))
        UNION
        (SELECT * FROM campaigns WHERE :all AND state IN ('preparing', 'sending') ORDER BY launched_at DESC LIMIT :most)
    ) c
    LEFT JOIN schedules s ON s.campaign_id = c.id AND s.active
    LEFT JOIN LATERAL (
        SELECT * FROM runs WHERE campaign_id = c.id
        ORDER BY state IN ('preparing', 'sending', 'paused') DESC, occurrence DESC LIMIT :runs
    ) r ON true
    ORDER BY c.launched_at DESC NULLS LAST, c.id, r.occurrence DESC
""")

_PAUSED = text("SELECT count(*) FROM campaigns WHERE state = 'paused'")

_WARNED = text("""
    SELECT id, name, state, reason FROM (
        SELECT id, name, state, finished_at,
               CASE WHEN state = 'paused' AND pause_reason NOT LIKE :by_hand THEN pause_reason
                    ELSE coalesce(alarm, (SELECT s.error FROM schedules s WHERE s.campaign_id = c.id AND s.active))
               END AS reason
        FROM campaigns c WHERE state IN ('scheduled', 'preparing', 'sending', 'paused') OR finished_at > :since
    ) found
    WHERE reason IS NOT NULL AND state <> 'cancelled'
    ORDER BY state = 'paused' DESC, id DESC LIMIT :most
""")

_RESTS = text("""
    SELECT CAST(args ->> 'run_id' AS bigint) AS run_id, min(scheduled_at) AS next_at,
           bool_or(status = 'doing' OR scheduled_at IS NULL OR scheduled_at <= :now) AS busy
    FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND task_name = :task
      AND CAST(args ->> 'run_id' AS bigint) = ANY (CAST(:runs AS bigint[]))
    GROUP BY 1
""")

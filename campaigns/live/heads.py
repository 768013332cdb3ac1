"""Which campaigns are under way, and in which state: small tables only."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.live.figures import Head, RunHead
from campaigns.states import LIVE, RunState, State

MOST_RUNS = 5  # of one campaign in view
MOST = 50  # campaigns under way that are shown at a glance


async def heads(conn: AsyncConnection, campaign_ids: Collection[int], *, under_way: bool) -> dict[int, Head]:
    """Those of these campaigns that are there; and with `under_way` all that prepare or send."""
    values = {"ids": list(campaign_ids), "all": under_way, "runs": MOST_RUNS, "most": MOST}
    rows = (await conn.execute(_HEADS, values)).all()
    return {campaign_id: _head(list(found)) for campaign_id, found in groupby(rows, lambda row: row.id)}


async def paused(conn: AsyncConnection) -> int:
    """How many campaigns are paused."""
    return int(await conn.scalar(_PAUSED) or 0)


def _head(rows: list[Row[Any]]) -> Head:
    first = rows[0]
    columns = ("run_id", "run_state", "occurrence", "frozen_at", "note", "error")
    found = [
        RunHead(values[0], RunState(values[1]), *values[2:])
        for row in rows
        if row.run_id is not None and (values := [row._mapping[column] for column in columns])
    ]
    alive = [run for run in found if run.state in LIVE]
    return Head(
        first.id, first.name, first.channel, State(first.state), first.pause_reason, first.next_at, alive or found[:1]
    )


_HEADS = text("""
    SELECT c.id, c.name, c.channel, c.state, c.pause_reason, s.next_at,
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

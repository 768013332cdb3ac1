"""What came of a campaign: its record as API.md has it, and the tables and series behind its charts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import store
from campaigns.attribution import Earned
from campaigns.counted import counts_now, earned_now
from campaigns.experiments.outcome import Named, editions_of_runs
from campaigns.live.base import answers_of
from campaigns.live.figures import Answer
from campaigns.live.grouping import Grouping
from campaigns.models import occurrences, runs, schedules, snapshots
from campaigns.schedule import MISSED
from campaigns.states import RunState
from campaigns.store import Campaign
from tracking.counts import Counts, MessageRow, counts_by_run, total
from tracking.ledger import messages_page
from tracking.states import State

CENT = Decimal("0.01")
_URL_FILTER = re.compile(r"{{ \((.*?)\)\|_url }}")  # what compiling adds to a field in an address


async def campaign_record(conn: AsyncConnection, campaign_id: int) -> dict[str, Any]:
    """The record of `GET /campaigns/{id}`; money as a decimal string, times aware. Raises NotFound."""
    by_run = (await counts_now(conn, [campaign_id])).get(campaign_id, {})
    gained = await earned_now(conn, campaign_id)
    record = await record_of(conn, campaign_id, by_run, gained)
    if any(run["state"] == RunState.FINISHED and _goes_on(run["counts"]) for run in record["runs"]):
        return await record_of(conn, campaign_id, await counts_by_run(conn, campaign_id), gained)
    return record


async def record_of(
    conn: AsyncConnection, campaign_id: int, by_run: Mapping[int, Counts], gained: Earned
) -> dict[str, Any]:
    """The same from what was counted before. Raises NotFound."""
    found = await store.campaign(conn, campaign_id)
    counts = total(by_run.values())
    return {
        **_own(found),
        "runs": await _runs(conn, campaign_id, by_run),
        "missed": await _missed(conn, campaign_id),
        **await _coming(conn, campaign_id),
        "approval": await conn.scalar(select(snapshots.c.report).where(snapshots.c.id == found.snapshot_id)),
        "counts": counts.numbers,
        "skipped_reasons": dict(counts.skipped_reasons),
        "orders": int(gained.orders),
        "revenue": str(gained.revenue.quantize(CENT)),
    }


async def campaign_lines(conn: AsyncConnection, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    """A page of campaigns as a list shows them: their own fields and their counts."""
    counts = await counts_now(conn, [campaign.id for campaign in found], lately=True)
    return [{**_own(campaign), "counts": total(counts.get(campaign.id, {}).values()).numbers} for campaign in found]


async def message_records(
    conn: AsyncConnection,
    campaign_id: int,
    *,
    state: str | None = None,
    answer: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], str | None]:
    """Who got what, when, what came of it, and why not; and the next cursor. `answer`: only those of which the server
    said this, as `answers` has it. `variant` is named, `in_test` says whether it was given to try it (None: there is
    no test). Raises NotFound, Invalid."""
    await store.campaign(conn, campaign_id)
    rows, following = await messages_page(conn, campaign_id, state, cursor, limit, answer=answer)
    tested = await editions_of_runs(conn, {row.run_id for row in rows})
    return [_told(row, tested.get(row.run_id)) for row in rows], following


async def hourly(conn: AsyncConnection, campaign_id: int) -> list[dict[str, Any]]:
    """`{"at", "sent", "opened", "clicked"}` for each hour (UTC) in which something happened; opens and clicks by
    people."""
    return [dict(row._mapping) for row in await conn.execute(_HOURLY, {"id": campaign_id})]


async def links(conn: AsyncConnection, campaign_id: int) -> list[dict[str, Any]]:
    """`{"link", "people", "clicks", "machine_clicks"}` for each link of the campaign, the most clicked first."""
    rows = await conn.execute(_LINKS, {"id": campaign_id})
    return [{**row._mapping, "link": shown_link(row.link)} for row in rows]


def shown_link(template: str) -> str:
    """A link as its author wrote it."""
    return _URL_FILTER.sub(r"{{ \1 }}", template)


async def domains(conn: AsyncConnection, campaign_id: int, limit: int = 15) -> list[dict[str, Any]]:
    """`{"domain", "audience", "sent", "bounced", "failed", "opened", "clicked"}` of the largest domains written to."""
    values = {"id": campaign_id, "limit": limit}
    return [dict(row._mapping) for row in await conn.execute(_DOMAINS, values)]


async def answers(conn: AsyncConnection, run_ids: Sequence[int]) -> list[Answer]:
    """What servers said of messages that failed, bounced, wait or are in doubt: alike answers as one."""
    return Grouping(await answers_of(conn, run_ids)).listed()


def _goes_on(counts: Mapping[str, int]) -> bool:
    """Counted before the run came to its end."""
    return bool(counts["queued"] + counts["sending"])


def _told(row: MessageRow, named: Named | None) -> dict[str, Any]:
    if named is None or row.state is State.SKIPPED:  # nothing, of no variant
        return {**vars(row), "variant": None, "in_test": None}
    return {**vars(row), "variant": named.of(row.variant), "in_test": row.variant is not None}


def _own(found: Campaign) -> dict[str, Any]:
    return {
        "id": found.id,
        **store.body_of(found),
        "state": found.state,
        "pause_reason": found.pause_reason,
        "created_by": found.created_by,
        **{name: getattr(found, name) for name in ("created_at", "updated_at", "launched_at", "finished_at")},
    }


async def _runs(conn: AsyncConnection, campaign_id: int, by_run: Mapping[int, Counts]) -> list[dict[str, Any]]:
    columns = runs.c["id", "occurrence", "state", "note", "error", "started_at", "frozen_at", "finished_at"]
    statement = select(*columns).where(runs.c.campaign_id == campaign_id).order_by(runs.c.occurrence)
    return [{**row._mapping, "counts": by_run.get(row.id, Counts()).numbers} for row in await conn.execute(statement)]


async def _coming(conn: AsyncConnection, campaign_id: int) -> dict[str, Any]:
    """When the next run is due, and why the one that is cannot be started."""
    statement = select(schedules.c.next_at, schedules.c.error).where(schedules.c.campaign_id == campaign_id)
    row = (await conn.execute(statement)).one_or_none()
    return {"next_at": row and row.next_at, "start_error": row and row.error}


async def _missed(conn: AsyncConnection, campaign_id: int) -> list[datetime]:
    """The due times that were let pass, for being too late."""
    statement = (
        select(occurrences.c.occurrence_utc)
        .join(schedules, schedules.c.id == occurrences.c.schedule_id)
        .where(schedules.c.campaign_id == campaign_id, occurrences.c.state == MISSED)
        .order_by(occurrences.c.occurrence_utc)
    )
    return list((await conn.execute(statement)).scalars())


_HOURLY = text("""
    SELECT at, CAST(sum(sent) AS bigint) AS sent, CAST(sum(opened) AS bigint) AS opened,
           CAST(sum(clicked) AS bigint) AS clicked
    FROM (
        SELECT date_trunc('hour', sent_at, 'UTC') AS at, count(*) AS sent, 0 AS opened, 0 AS clicked
        FROM messages WHERE campaign_id = :id AND sent_at IS NOT NULL GROUP BY 1
        UNION ALL
        SELECT date_trunc('hour', at, 'UTC'), 0, count(*) FILTER (WHERE kind = 'opened'),
               count(*) FILTER (WHERE kind = 'clicked')
        FROM events WHERE campaign_id = :id AND kind IN ('opened', 'clicked') AND NOT machine GROUP BY 1
        UNION ALL
        SELECT at, 0, opened, clicked FROM past_hours WHERE campaign_id = :id
    ) hours GROUP BY at ORDER BY at
""")

_LINKS = text("""
    SELECT l.link, count(DISTINCT c.customer_id) FILTER (WHERE c.clicks > 0) AS people,
           CAST(coalesce(sum(c.clicks), 0) AS bigint) AS clicks,
           CAST(coalesce(sum(c.machine_clicks), 0) AS bigint) AS machine_clicks
    FROM (
        SELECT DISTINCT jsonb_array_elements_text(t.links) AS link
        FROM link_tables t JOIN runs r ON r.id = t.run_id WHERE r.campaign_id = :id
    ) l
    LEFT JOIN (
        SELECT link, customer_id, count(*) FILTER (WHERE NOT machine) AS clicks,
               count(*) FILTER (WHERE machine) AS machine_clicks
        FROM events WHERE campaign_id = :id AND kind = 'clicked' GROUP BY 1, 2
        UNION ALL
        SELECT link, customer_id, clicks, machine_clicks FROM past_clicks WHERE campaign_id = :id
    ) c ON c.link = l.link
    GROUP BY l.link ORDER BY clicks DESC, l.link
""")

_DOMAINS = text("""
    SELECT lower(split_part(address, '@', 2)) AS domain, count(*) AS audience,
           count(*) FILTER (WHERE state IN ('sent', 'delivered', 'bounced')) AS sent,
           count(*) FILTER (WHERE state = 'bounced') AS bounced, count(*) FILTER (WHERE state = 'failed') AS failed,
           count(opened_at) AS opened, count(clicked_at) AS clicked
    FROM messages WHERE campaign_id = :id AND address LIKE '%@%' AND state <> 'skipped'
    GROUP BY 1 ORDER BY audience DESC, domain LIMIT :limit
""")

"""Bounces and complaints of running campaigns are counted every few seconds; what is over the thresholds is paused."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.finish import lock
from campaigns.halt import pause
from campaigns.models import campaigns
from campaigns.sending.thresholds import Evidence, Judgement, Thresholds, judge, load_thresholds
from campaigns.states import ALLOWED, State, Verb
from runtime.house import House
from runtime.leader import Term, check_term
from runtime.scheduler import tick

log = logging.getLogger(__name__)

LATE = timedelta(days=3)  # complaints go on coming that long after the last message: an alarm then, nothing to pause
SHARE = 0.05  # of its time at most goes into counting, however large the campaigns

_rest_until = 0.0  # monotonic; of this process, which counts alone while it leads


@tick(every=timedelta(seconds=5))
async def judge_campaigns(house: House, term: Term, now: datetime) -> None:
    """Pause campaigns that are over the thresholds, and note alarms. Raises NotLeader when the term is over."""
    global _rest_until
    if time.monotonic() < _rest_until:
        return
    began = time.monotonic()
    async with house.database.connect() as conn:
        limits = await load_thresholds(conn)
        ids = await _to_judge(conn, now)
        found = await evidence(conn, ids)
    for campaign_id, facts in found.items():
        async with house.database.begin() as conn:
            await check_term(conn, term)
            await judge_one(conn, campaign_id, facts, limits, now=now)
    _rest_until = time.monotonic() + (time.monotonic() - began) / SHARE


async def judge_one(
    conn: AsyncConnection, campaign_id: int, found: Evidence, limits: Thresholds, *, now: datetime
) -> Judgement:
    """What follows from `found` (all of the campaign) beyond what was there when it last went on."""
    before = await conn.scalar(select(campaigns.c.judged_from).where(campaigns.c.id == campaign_id))
    said = judge(found.since(Evidence(**(before or {}))), limits)
    if said.pause is not None:
        campaign = await lock(conn, campaign_id)
        if campaign.state in ALLOWED[Verb.PAUSE]:
            log.warning("%s is paused: %s", campaign, said.pause)
            await pause(conn, campaign_id, now=now, reason=said.pause)
    alarm = said.alarm or said.pause
    changed = (campaigns.c.id == campaign_id) & campaigns.c.alarm.is_distinct_from(alarm)
    noted = await conn.execute(update(campaigns).where(changed).values(alarm=alarm))
    if noted.rowcount and said.alarm is not None:
        log.warning("campaign %s: %s", campaign_id, said.alarm)
    return said


async def go_on(conn: AsyncConnection, campaign_id: int) -> None:
    """The campaign was allowed to go on: what is known by now does not stop it again."""
    found = (await evidence(conn, [campaign_id])).get(campaign_id, Evidence())
    kept = {"judged_from": asdict(found), "alarm": None}
    await conn.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(**kept))


async def evidence(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, Evidence]:
    """What came of the messages of each campaign that has tried any."""
    rows = await conn.execute(_EVIDENCE, {"ids": list(campaign_ids)})
    return {row.campaign_id: Evidence(row.sent, row.refused, row.bounced, row.complained) for row in rows}


async def _to_judge(conn: AsyncConnection, now: datetime) -> list[int]:
    going = campaigns.c.state.in_((State.SENDING, State.SCHEDULED, State.PREPARING))
    lately = (campaigns.c.state == State.FINISHED) & (campaigns.c.finished_at > now - LATE)
    return list((await conn.execute(select(campaigns.c.id).where(going | lately).order_by(campaigns.c.id))).scalars())


_EVIDENCE = text("""
    SELECT campaign_id, count(*) FILTER (WHERE state IN ('sent', 'delivered', 'bounced')) AS sent,
           count(*) FILTER (WHERE state = 'failed' AND reason ~ '^5[0-9][0-9] ') AS refused,
           count(*) FILTER (WHERE state = 'bounced') AS bounced, count(complained_at) AS complained
    FROM messages
    WHERE campaign_id = ANY (CAST(:ids AS bigint[])) AND state IN ('sent', 'delivered', 'bounced', 'failed')
    GROUP BY campaign_id
""")

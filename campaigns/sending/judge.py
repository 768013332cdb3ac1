"""Bounces and complaints of running campaigns are judged every few seconds; what is over the thresholds is paused."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.apart import apart
from campaigns.finish import lock
from campaigns.halt import pause
from campaigns.models import campaigns
from campaigns.sending.evidence import Counting, Found, evidence, went_on_at
from campaigns.sending.thresholds import Evidence, Judgement, Thresholds, judge, load_thresholds
from campaigns.states import ALLOWED, Verb
from runtime.database import Database
from runtime.house import House
from runtime.leader import Term
from runtime.scheduler import tick

log = logging.getLogger(__name__)

_countings: WeakKeyDictionary[Database, Counting] = WeakKeyDictionary()


@tick(every=timedelta(seconds=5))
async def judge_campaigns(house: House, term: Term, now: datetime) -> None:
    """Pause campaigns that are over the thresholds, and note alarms. Raises NotLeader when the term is over."""
    found = await _countings.setdefault(house.database, Counting()).turn(house.database, now)
    async with house.database.connect() as conn:
        limits = await load_thresholds(conn)
    for campaign_id, facts in found.items():
        async with apart(house, term, campaign_id) as conn:
            await judge_one(conn, campaign_id, facts, limits, now=now)


async def judge_one(
    conn: AsyncConnection, campaign_id: int, found: Found, limits: Thresholds, *, now: datetime
) -> Judgement:
    """What follows from `found` beyond what was there when the campaign last went on."""
    said = await _judged(conn, campaign_id, found, limits)
    if said != Judgement():  # judged once more, since it may have been let go on until it was locked
        campaign = await lock(conn, campaign_id)
        said = await _judged(conn, campaign_id, found, limits)
        if said.pause is not None and campaign.state in ALLOWED[Verb.PAUSE]:
            log.warning("%s is paused: %s", campaign, said.pause)
            await pause(conn, campaign_id, now=now, reason=said.pause)
    alarm = said.alarm or said.pause
    changed = (campaigns.c.id == campaign_id) & campaigns.c.alarm.is_distinct_from(alarm)
    noted = await conn.execute(update(campaigns).where(changed).values(alarm=alarm))
    if noted.rowcount and said.alarm is not None:
        log.warning("campaign %s: %s", campaign_id, said.alarm)
    return said


async def go_on(conn: AsyncConnection, campaign_id: int, *, now: datetime) -> None:
    """The campaign was allowed to go on: what is known by now does not stop it again."""
    found = (await evidence(conn, [campaign_id], now))[campaign_id]
    kept = {"judged_from": {**asdict(found.total), "at": now.isoformat()}, "alarm": None}
    await conn.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(**kept))


async def _judged(conn: AsyncConnection, campaign_id: int, found: Found, limits: Thresholds) -> Judgement:
    """By all since the campaign went on, and by what was tried lately, unless that was counted before it went on."""
    kept = await conn.scalar(select(campaigns.c.judged_from).where(campaigns.c.id == campaign_id)) or {}
    before = Evidence(**{name: n for name, n in kept.items() if name != "at"})
    said = [judge(found.total.since(before), limits)]
    went_on = went_on_at(kept)
    if went_on is None or found.since >= went_on:
        said.append(judge(found.lately, limits, lately=True))
    return max(said, key=lambda each: (each.pause is not None, each.alarm is not None))

"""What came of the messages of running campaigns: counted once, then added to by the tallies of each commit.

A look at a campaign scans all of its messages, so one that goes on is looked at again only now and then: for what no
tally tells (complaints) and for what a tally, which lacks the state before, cannot tell apart (a message delivered
without having been sent). What was tried lately is told by its own count, of the same messages whatever comes of them:
a bounce of older ones is not held against today's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import campaigns, runs
from campaigns.sending.thresholds import Evidence
from campaigns.states import State
from runtime.database import Database
from tracking.states import State as MessageState
from tracking.tallies import KEPT, Tally, snapshot, tallies_since

LATE = timedelta(days=3)  # complaints go on coming that long after the last message
SHARE = 0.05  # of its time at most goes into looking again, however large the campaigns
LATELY = timedelta(days=1)
RESTS = 50  # a campaign that took a second to look at is not looked at again for 50

_NOTHING = Evidence()
_GOING = (State.SENDING, State.SCHEDULED, State.PREPARING)
_REFUSED = re.compile(r"5[0-9]{2} ")


@dataclass(frozen=True)
class Found:
    """What came of a campaign's messages: of all of them, and `lately`: of those first tried after `since`, which is
    LATELY ago or when the campaign last went on."""

    since: datetime
    total: Evidence = _NOTHING
    lately: Evidence = _NOTHING


@dataclass(frozen=True)
class _Look:
    """The last one at a campaign: `took` seconds, until `at` (monotonic)."""

    took: float
    at: float


@dataclass(frozen=True)
class _Standing:
    """Which campaigns are judged now: those that go on, those that ended lately; `runs` → campaign."""

    going: Sequence[int]
    ended: Sequence[int]
    runs: Mapping[int, int]


class Counting:
    """Of one process, which counts alone while it leads."""

    def __init__(self) -> None:
        self._found: dict[int, Found] = {}
        self._looks: dict[int, _Look] = {}
        self._seen: str | None = None
        self._turned = 0.0  # monotonic
        self._rest_until = 0.0  # monotonic

    async def turn(self, database: Database, now: datetime) -> Mapping[int, Found]:
        """What came by now of the messages of each campaign that goes on or ended lately and has tried any. One that
        goes on is counted at once, those that ended one after the other."""
        began = time.monotonic()
        if began - self._turned > KEPT.total_seconds() / 2:  # tallies may be gone that were never read
            self._found, self._looks, self._seen = {}, {}, None
        async with database.one_snapshot() as conn:
            seen, standing = await snapshot(conn), await _standing(conn, now)
            tallies = await tallies_since(conn, self._seen, list(standing.runs)) if self._seen and self._found else []
            wanted = self._wanted(standing, began)
            looking = time.monotonic()
            looked = await evidence(conn, wanted, now)
        self._add(tallies, standing.runs)
        self._take(looked, time.monotonic() - looking)
        judged = {*standing.going, *standing.ended}
        self._found = {campaign_id: found for campaign_id, found in self._found.items() if campaign_id in judged}
        self._seen, self._turned = seen, began
        return {campaign_id: found for campaign_id, found in self._found.items() if found.total != _NOTHING}

    def _wanted(self, standing: _Standing, clock: float) -> list[int]:
        """Who is looked at now: those that go on and were never counted, else one that waits, if it is time."""
        new = [campaign_id for campaign_id in standing.going if campaign_id not in self._found]
        if new or clock < self._rest_until:
            return new
        first = _Look(0.0, 0.0)
        for waiting in (standing.going, standing.ended):
            looks = {campaign_id: self._looks.get(campaign_id, first) for campaign_id in waiting}
            due = [campaign_id for campaign_id, look in looks.items() if clock - look.at > RESTS * look.took]
            if due:
                return [min(due, key=lambda campaign_id: looks[campaign_id].at)]
        return []

    def _add(self, tallies: Iterable[Tally], campaign_of: Mapping[int, int]) -> None:
        for tally in tallies:
            campaign_id = campaign_of[tally.run_id]
            if campaign_id in self._found:
                self._found[campaign_id] = _with(self._found[campaign_id], tally)

    def _take(self, looked: Mapping[int, Found], took: float) -> None:
        if not looked:
            return
        ended = time.monotonic()
        self._rest_until = ended + took / SHARE
        self._found.update(looked)
        for campaign_id in looked:
            self._looks[campaign_id] = _Look(took, ended)


async def evidence(conn: AsyncConnection, campaign_ids: Sequence[int], now: datetime) -> dict[int, Found]:
    """What came of the messages of each of these campaigns, by a scan of all of them."""
    if not campaign_ids:
        return {}
    asked = select(campaigns.c.id, campaigns.c.judged_from).where(campaigns.c.id.in_(campaign_ids))
    found = {row.id: Found(_later(now - LATELY, went_on_at(row.judged_from))) for row in await conn.execute(asked)}
    values = {"ids": list(found), "since": [each.since for each in found.values()]}
    for row in await conn.execute(_EVIDENCE, values):
        total = Evidence(row.sent, row.refused, row.bounced, row.complained)
        lately = Evidence(row.lately_sent, row.lately_refused, row.lately_bounced, row.lately_complained)
        found[row.campaign_id] = replace(found[row.campaign_id], total=total, lately=lately)
    return found


def went_on_at(judged_from: Mapping[str, Any] | None) -> datetime | None:
    """When the campaign was last allowed to go on; None if it never was (or so long ago that nobody noted it)."""
    at = (judged_from or {}).get("at")
    return None if at is None else datetime.fromisoformat(at)


def _later(one: datetime, other: datetime | None) -> datetime:
    return one if other is None else max(one, other)


def _with(found: Found, tally: Tally) -> Found:
    """Who is tried now is tried lately; which message it is that bounces now, only the next look tells."""
    total, lately = found.total, found.lately
    if tally.state == MessageState.SENT:
        total, lately = (replace(each, sent=each.sent + tally.n) for each in (total, lately))
    elif tally.state == MessageState.BOUNCED:
        total = replace(total, bounced=total.bounced + tally.n)
    elif tally.state == MessageState.FAILED and _REFUSED.match(tally.last):  # alike answers begin with the same code
        total, lately = (replace(each, refused=each.refused + tally.n) for each in (total, lately))
    return replace(found, total=total, lately=lately)


async def _standing(conn: AsyncConnection, now: datetime) -> _Standing:
    going = campaigns.c.state.in_(_GOING)
    lately = (campaigns.c.state == State.FINISHED) & (campaigns.c.finished_at > now - LATE)
    asked = select(campaigns.c.id, going.label("going")).where(going | lately).order_by(campaigns.c.id)
    rows = (await conn.execute(asked)).all()
    mine = runs.c.campaign_id.in_([row.id for row in rows])
    recent = runs.c.finished_at.is_(None) | (runs.c.finished_at > now - LATE)
    owners = await conn.execute(select(runs.c.id, runs.c.campaign_id).where(mine, recent))
    return _Standing(
        [row.id for row in rows if row.going],
        [row.id for row in rows if not row.going],
        {row.id: row.campaign_id for row in owners},
    )


_COUNTS = """
    count(*) FILTER (WHERE {0} state IN ('sent', 'delivered', 'bounced')) AS {1}sent,
    count(*) FILTER (WHERE {0} state = 'failed' AND reason ~ '^5[0-9][0-9] ') AS {1}refused,
    count(*) FILTER (WHERE {0} state = 'bounced') AS {1}bounced,
    count(complained_at) FILTER (WHERE {0} true) AS {1}complained
"""
_TRIED_LATELY = "coalesce(sent_at, delivered_at, failed_at) > since AND"
_SCAN = """
    SELECT campaign_id, {}, {}
    FROM messages JOIN unnest(CAST(:ids AS bigint[]), CAST(:since AS timestamptz[])) AS judged (id, since)
      ON campaign_id = judged.id
    WHERE campaign_id = ANY (CAST(:ids AS bigint[])) AND state IN ('sent', 'delivered', 'bounced', 'failed')
    GROUP BY campaign_id
"""
_EVIDENCE = text(_SCAN.format(_COUNTS.format("", ""), _COUNTS.format(_TRIED_LATELY, "lately_")))

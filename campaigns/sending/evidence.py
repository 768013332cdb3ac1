"""What came of the messages of running campaigns: counted once, then added to by the tallies of each commit.

A look at a campaign scans all of its messages, so one that goes on is looked at again only now and then: for what no
tally tells (complaints) and for what a tally, which lacks the state before, cannot tell apart (a message delivered
without having been sent).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
RESTS = 50  # a campaign that took a second to look at is not looked at again for 50

_GOING = (State.SENDING, State.SCHEDULED, State.PREPARING)
_REFUSED = re.compile(r"5[0-9]{2} ")


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
        self._found: dict[int, Evidence] = {}
        self._looks: dict[int, _Look] = {}
        self._seen: str | None = None
        self._turned = 0.0  # monotonic
        self._rest_until = 0.0  # monotonic

    async def turn(self, database: Database, now: datetime) -> Mapping[int, Evidence]:
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
            looked = await evidence(conn, wanted)
        self._add(tallies, standing.runs)
        self._take(wanted, looked, time.monotonic() - looking)
        judged = {*standing.going, *standing.ended}
        self._found = {campaign_id: found for campaign_id, found in self._found.items() if campaign_id in judged}
        self._seen, self._turned = seen, began
        return {campaign_id: found for campaign_id, found in self._found.items() if found != Evidence()}

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

    def _take(self, wanted: Sequence[int], looked: Mapping[int, Evidence], took: float) -> None:
        if not wanted:
            return
        ended = time.monotonic()
        self._rest_until = ended + took / SHARE
        for campaign_id in wanted:
            self._found[campaign_id] = looked.get(campaign_id, Evidence())
            self._looks[campaign_id] = _Look(took, ended)


async def evidence(conn: AsyncConnection, campaign_ids: Sequence[int]) -> dict[int, Evidence]:
    """What came of the messages of each campaign that has tried any, by a scan of all of them."""
    if not campaign_ids:
        return {}
    rows = await conn.execute(_EVIDENCE, {"ids": list(campaign_ids)})
    return {row.campaign_id: Evidence(row.sent, row.refused, row.bounced, row.complained) for row in rows}


def _with(found: Evidence, tally: Tally) -> Evidence:
    if tally.state == MessageState.SENT:
        return replace(found, sent=found.sent + tally.n)
    if tally.state == MessageState.BOUNCED:
        return replace(found, bounced=found.bounced + tally.n)
    if tally.state == MessageState.FAILED and _REFUSED.match(tally.last):  # alike answers begin with the same code
        return replace(found, refused=found.refused + tally.n)
    return found


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


_EVIDENCE = text("""
    SELECT campaign_id, count(*) FILTER (WHERE state IN ('sent', 'delivered', 'bounced')) AS sent,
           count(*) FILTER (WHERE state = 'failed' AND reason ~ '^5[0-9][0-9] ') AS refused,
           count(*) FILTER (WHERE state = 'bounced') AS bounced, count(complained_at) AS complained
    FROM messages
    WHERE campaign_id = ANY (CAST(:ids AS bigint[])) AND state IN ('sent', 'delivered', 'bounced', 'failed')
    GROUP BY campaign_id
""")

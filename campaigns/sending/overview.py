"""Senders and recipient domains as they stand, for the console and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.dispatch.batch import defer_batches
from campaigns.finish import lock
from campaigns.models import runs, sender_days, snapshots
from campaigns.sending.holds import Hold, holds_now
from campaigns.sending.limits import Limit, Limits, load_limits, sender_names
from campaigns.sending.providers import PROVIDERS
from campaigns.states import RunState

LATELY = 500  # approvals whose senders are shown, limited or not


@dataclass(frozen=True)
class SenderState:
    """`name`: a From address or a whole From domain. `ceiling`: today's, None: none; `sent_today`: only counted while
    it is warmed up."""

    name: str
    rate: float | None
    warm_up: Mapping[str, Any] | None
    ceiling: int | None
    sent_today: int | None

    @property
    def settled(self) -> bool:
        return self.rate is not None or self.warm_up is not None


@dataclass(frozen=True)
class DomainState:
    """`also`: other domains of the same mail service. `connections`: what counts, settled or usual. `held_until`:
    nothing goes there before; with `held_until` past, a few messages at a time until one is taken."""

    name: str
    also: tuple[str, ...]
    rate: float | None
    connections: int | None
    settled: bool
    held_until: datetime | None
    pauses: int
    answer: str | None
    answered_at: datetime | None


async def senders(conn: AsyncConnection, today: date) -> list[SenderState]:
    """Those with limits, then those that campaigns were approved with lately; each by name."""
    limits = await load_limits(conn)
    taken = await _taken(conn, today)
    settled = [_sender(limit, taken, today) for limit in limits.senders.values()]
    used = sorted(await _used(conn) - limits.senders.keys())
    return settled + [SenderState(name, None, None, None, None) for name in used]


async def sender(conn: AsyncConnection, name: str, today: date) -> SenderState | None:
    """One with limits."""
    found = (await load_limits(conn)).senders.get(name)
    return None if found is None else _sender(found, await _taken(conn, today), today)


async def domains(conn: AsyncConnection) -> list[DomainState]:
    """Those that are held back, then those with limits of their own, then the big mail services."""
    limits = await load_limits(conn)
    held = {hold.name: hold for hold in await holds_now(conn)}
    names = [*held, *limits.domains, *PROVIDERS]
    return [_domain(name, limits, held.get(name)) for name in dict.fromkeys(names)]


async def domain(conn: AsyncConnection, name: str) -> DomainState:
    """Any (main) domain; without limits, as those of no name."""
    held = {hold.name: hold for hold in await holds_now(conn)}
    return _domain(name, await load_limits(conn), held.get(name))


async def wake(conn: AsyncConnection) -> None:
    """Limits have changed: batches that wait for tomorrow or for their turn look again now."""
    going = select(runs.c.id, runs.c.campaign_id).where(runs.c.state == RunState.SENDING)
    for run in (await conn.execute(going.order_by(runs.c.campaign_id, runs.c.id))).all():
        await lock(conn, run.campaign_id)
        await defer_batches(conn, run.id)


def _sender(limit: Limit, taken: Mapping[str, int], today: date) -> SenderState:
    plan = limit.warm_up
    ceiling = None if plan is None else plan.ceiling(today)
    sent = None if plan is None else taken.get(limit.name, 0)
    return SenderState(limit.name, limit.rate, None if plan is None else plan.to_json(), ceiling, sent)


def _domain(name: str, limits: Limits, hold: Hold | None) -> DomainState:
    limit = limits.domains.get(name)
    return DomainState(
        name=name,
        also=PROVIDERS[name].also if name in PROVIDERS else (),
        rate=None if limit is None else limit.rate,
        connections=limits.connections_to(name),
        settled=limit is not None,
        held_until=None if hold is None else hold.until,
        pauses=0 if hold is None else hold.level,
        answer=None if hold is None else hold.answer,
        answered_at=None if hold is None else hold.answered_at,
    )


async def _taken(conn: AsyncConnection, today: date) -> dict[str, int]:
    rows = await conn.execute(select(sender_days.c.name, sender_days.c.taken).where(sender_days.c.day == today))
    return {row.name: row.taken for row in rows}


async def _used(conn: AsyncConnection) -> set[str]:
    lately = select(snapshots.c.sender).order_by(snapshots.c.id.desc()).limit(LATELY).subquery("lately")
    found = (await conn.execute(select(lately.c.sender).distinct())).scalars()
    return {sender_names(each)[0] for each in found}

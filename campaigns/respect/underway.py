"""The contact rules while a batch is sent: what became true after its run was frozen counts up to the last moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.options import OBEY, Options
from campaigns.respect.caps import Others, earliest, others_since, reached_meanwhile
from campaigns.respect.clocks import zones_of
from campaigns.respect.quiet import Stretch, Window, stretch_at
from campaigns.respect.rules import Cap, ContactRules, contact_rules_now
from campaigns.respect.service import OPEN_SERVICE, open_case
from campaigns.respect.wishes import ANY_PERIOD, declined, wishes_reached_meanwhile, wishing
from customers.bulk import among
from customers.models import service_visits
from runtime.registry import ChannelKind
from tracking.ledger import Due

_OVERLAP = timedelta(seconds=10)  # by which a look goes back beyond the one before: what finished then committed later


@dataclass
class Courtesy:
    """What the contact rules say of the people of one batch. Rules that do not concern it are left out."""

    run_id: int
    zones: Mapping[int, ZoneInfo] = field(default_factory=dict)
    windows: Sequence[Window] = ()
    caps: Sequence[Cap] = ()
    service_days: int = 0
    topic: str | None = None
    wishing: frozenset[int] = frozenset()  # who has asked for a frequency of their own
    timezone: str = "UTC"
    _stretches: dict[ZoneInfo, Stretch] = field(default_factory=dict)
    _capped: dict[int, str] = field(default_factory=dict)
    _looked: datetime | None = None

    def quiet_until(self, customer_id: int, now: datetime) -> datetime | None:
        """Until when the customer is not to be disturbed; None: write away. Costs a look-up."""
        zone = self.zones.get(customer_id) if self.windows else None
        if zone is None:
            return None
        stretch = self._stretches.get(zone)
        if stretch is None or stretch.ends <= now:
            stretch = self._stretches[zone] = stretch_at(self.windows, zone, now)
        return stretch.ends if stretch.quiet else None

    async def objecting(self, conn: AsyncConnection, ids: Sequence[int], now: datetime) -> dict[int, str]:
        """Who of these must not get it because of an open service case, or because they want nothing about its topic.
        Whether they have asked for a frequency of their own is looked up anew."""
        if not ids:
            return {}
        await self._hear_wishes(conn, ids)
        against = {} if self.topic is None else await declined(conn, self.topic, ids)
        if not self.service_days:
            return against
        having = select(service_visits.c.customer_id).where(
            among(service_visits.c.customer_id, ids), open_case(now, self.service_days)
        )
        return {**dict.fromkeys((await conn.execute(having)).scalars(), OPEN_SERVICE), **against}

    async def over_cap(self, conn: AsyncConnection, now: datetime) -> Mapping[int, str]:
        """Who of the batch must not get it any more because others have written to them meanwhile: as often as the
        workspace allows, or as they want themselves. Costs little where no other campaign sends."""
        limits = (*self.caps, *(ANY_PERIOD if self.wishing else ()))
        if limits and self.zones:
            since = earliest(limits, list({*self.zones.values()}), now)
            others = await others_since(conn, self.run_id, since, self._looked)
            if others.moving:
                self._capped = await self._count(conn, others, now)
            self._looked = now - _OVERLAP
        elif not limits:
            self._capped = {}
        return self._capped

    async def _count(self, conn: AsyncConnection, others: Others, now: datetime) -> dict[int, str]:
        own = {number: zone for number, zone in self.zones.items() if number in self.wishing}
        wished = await wishes_reached_meanwhile(conn, self.run_id, own, others, now)
        if not self.caps:
            return wished
        return {**wished, **await reached_meanwhile(conn, self.run_id, self.zones, self.caps, others, now)}

    async def _hear_wishes(self, conn: AsyncConnection, ids: Sequence[int]) -> None:
        """Whose wish is new, changed or gone is counted at the next look, whatever others did."""
        now_wishing = await wishing(conn, ids)
        if not now_wishing and not self.wishing.intersection(ids):
            return
        self.wishing = self.wishing.difference(ids) | now_wishing
        if missing := [number for number in now_wishing if number not in self.zones]:
            self.zones = {**self.zones, **await zones_of(conn, missing, self.timezone)}
        self._looked = None


async def put_off_quiet(conn: AsyncConnection, courtesy: Courtesy, due: Sequence[Due], now: datetime) -> list[Due]:
    """Let those wait for whom it is quiet at `now`, until it is not; answers the others."""
    if not courtesy.windows:
        return list(due)
    waits = {message.key: courtesy.quiet_until(message.key.customer_id, now) for message in due}
    quiet = sorted((key, until) for key, until in waits.items() if until is not None)
    if quiet:
        keys = [key for key, _ in quiet]
        values = {
            "people": [key.customer_id for key in keys],
            "runs": [key.run_id for key in keys],
            "steps": [key.step for key in keys],
            "until": [until for _, until in quiet],
        }
        await conn.execute(_PUT_OFF, values)
    return [message for message in due if waits[message.key] is None]


async def courtesy(
    conn: AsyncConnection, run_id: int, channel: ChannelKind, options: Options, ids: Sequence[int], timezone: str
) -> Courtesy:
    """What the rules of this moment mean for a batch of the customers `ids`. `timezone`: the workspace's."""
    rules = await contact_rules_now(conn)
    windows, caps = windows_for(rules, channel.name, options), caps_for(rules, channel.name, options)
    wishes = await wishing(conn, ids)
    zones = (
        await zones_of(conn, ids if windows or caps else list(wishes), timezone) if windows or caps or wishes else {}
    )
    days = service_days_for(rules, options)
    return Courtesy(run_id, zones, windows, caps, days, options.topic, wishes, timezone)


def windows_for(rules: ContactRules, channel: str, options: Options) -> tuple[Window, ...]:
    """The quiet hours that a campaign obeys."""
    return rules.quiet_hours.get(channel, ()) if options.quiet_hours == OBEY else ()


def caps_for(rules: ContactRules, channel: str, options: Options) -> tuple[Cap, ...]:
    """The caps that a campaign obeys."""
    return rules.caps_for(channel) if options.frequency_cap == OBEY else ()


def service_days_for(rules: ContactRules, options: Options) -> int:
    """For how long an open service case holds a campaign back; 0: not at all."""
    return rules.service_hold_days if options.service_hold == OBEY else 0


_PUT_OFF = text("""
    UPDATE messages m SET not_before = k.until
    FROM unnest(CAST(:people AS bigint[]), CAST(:runs AS bigint[]), CAST(:steps AS smallint[]),
                CAST(:until AS timestamptz[])) AS k(customer_id, run_id, step, until)
    WHERE m.customer_id = k.customer_id AND m.run_id = k.run_id AND m.step = k.step AND m.state = 'queued'
""")

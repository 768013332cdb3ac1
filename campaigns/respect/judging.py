"""Who of an audience gets a message, where to, not before when, or why not: one SELECT for the freeze.

The reasons in their order, the first one counts: what permission says (campaigns/permission.py), a topic that they do
not want, an open service case, a frequency cap, the frequency that they asked for themselves, the holdouts. These come
last: they compare people who could have been written to. A rule that is not in force leaves no trace in the statement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.options import Options
from campaigns.permission import chosen_address, chosen_addresses, with_reason
from campaigns.respect.caps import calendar, contacts, earliest, reached, take_turn
from campaigns.respect.clocks import table_of, zone_name, zone_of, zones_in_use
from campaigns.respect.holdouts import held_out
from campaigns.respect.quiet import Window, quiet_spans
from campaigns.respect.rules import Cap, ContactRules, contact_rules_now
from campaigns.respect.service import OPEN_SERVICE, with_open_case
from campaigns.respect.underway import caps_for, service_days_for, windows_for
from campaigns.respect.wishes import ANY_PERIOD, topic_reason, wish_reached, wishes_in_use
from customers.models import frequency_wishes
from customers.topics import declining
from runtime.registry import ChannelKind
from segments.context import EvaluationContext

_Instant = DateTime(timezone=True)


@dataclass(frozen=True)
class Judging:
    """What a freeze asks about each member. `until`: the latest time for which one of them is planned; `zones`: the
    names of all customers' zones, where a rule asks for clocks;
    `segment`: the holdout of the campaign's segment, as its snapshot has it."""

    run_id: int
    channel: ChannelKind
    options: Options
    context: EvaluationContext
    until: datetime
    rules: ContactRules
    segment: Mapping[str, Any] | None
    windows: Sequence[Window]
    caps: Sequence[Cap]
    zones: Sequence[str]
    wishes: bool = False  # somebody has asked for a frequency of their own

    def judged(self, members: Select[Any], *, many: bool) -> Select[Any]:
        """`SELECT id, slot, address, reason, not_before`; NULL as reason: gets a message, NULL as not_before: at once.

        `members`: `SELECT id, slot, not_before` of those in the audience, as planned (campaigns/timing.py).
        """
        person = self._persons(members, many=many)
        if not self.caps and not self.wishes:
            found = person.subquery("person")
            return self._told(found, found, found.c.barred)
        cte = person.cte("person")
        joined: FromClause = cte
        reasons: list[ColumnElement[Any]] = [cte.c.barred]
        for counted in self._counts(cte):
            joined = joined.outerjoin(counted, counted.c.id == cte.c.id)
            reasons.append(counted.c.reason)
        return self._told(cte, joined, func.coalesce(*reasons))

    def _persons(self, members: Select[Any], *, many: bool) -> Select[Any]:
        """`SELECT id, slot, address, barred, not_before` and, where clocks are asked for, `zone`."""
        now = self.context.now
        clocked = members.add_columns(zone_name(self.context.timezone).label("zone")) if self.zones else members
        asked = clocked.subquery("members")
        targets, chosen = _with_address(asked, self.channel, now, many=many)
        joined, barred = with_reason(targets, asked.c.id, chosen.c.address, self.channel, now)
        if topic := self.options.topic:
            unwanted = declining(topic).subquery("unwanted")
            joined = joined.outerjoin(unwanted, unwanted.c.customer_id == asked.c.id)
            barred = case((barred.is_not(None), barred), (unwanted.c.customer_id.is_not(None), topic_reason(topic)))
        if days := service_days_for(self.rules, self.options):
            held = with_open_case(now, days).subquery("held")
            joined = joined.outerjoin(held, held.c.customer_id == asked.c.id)
            barred = case((barred.is_not(None), barred), (held.c.customer_id.is_not(None), OPEN_SERVICE))
        not_before: ColumnElement[Any] = asked.c.not_before
        if self.windows:
            quiet = self._quiet()
            planned = func.coalesce(asked.c.not_before, literal(now, _Instant))
            falls_in = and_(quiet.c.zone == asked.c.zone, planned >= quiet.c.begins, planned < quiet.c.ends)
            joined, not_before = joined.outerjoin(quiet, falls_in), func.coalesce(quiet.c.ends, asked.c.not_before)
        columns = [asked.c.id, asked.c.slot, chosen.c.address, barred.label("barred"), not_before.label("not_before")]
        return select(*columns, *([asked.c.zone] if self.zones else [])).select_from(joined)

    def _quiet(self) -> FromClause:
        """Rows `(zone, begins, ends)`: the quiet hours from now on, as far as something is planned."""
        now, default = self.context.now, self.context.timezone
        rows = [
            (name, begins, ends)
            for name in self.zones
            for begins, ends in quiet_spans(self.windows, zone_of(name, default), now, self.until)
        ]
        return table_of("quiet", {"zone": Text(), "begins": _Instant, "ends": _Instant}, rows)

    def _counts(self, person: FromClause) -> list[FromClause]:
        """Rows `(id, reason)` of those whose contacts were counted; the reason of the first cap reached, or NULL. The
        workspace's caps first, then people's own."""
        zones = [zone_of(name, self.context.timezone) for name in self.zones]
        ends = [span[1] for zone in zones for span in quiet_spans(self.windows, zone, self.context.now, self.until)]
        days = calendar(self.zones, self.context.timezone, self.context.now, max([self.until, *ends]))
        counts: list[FromClause] = []
        if self.caps:
            counts.append(self._counted(person, days, zones))
        if self.wishes:
            counts.append(self._wished(person, days, zones))
        return counts

    def _counted(self, person: FromClause, days: FromClause, zones: Sequence[ZoneInfo]) -> FromClause:
        now = self.context.now
        known = contacts(self.run_id, self.caps, earliest(self.caps, zones, now), now)
        joined = person.join(days, self._that_day(person, days)).join(known, known.c.customer_id == person.c.id)
        cap = reached(self.caps, known.c.channel, known.c.at, days.c)
        counted = select(person.c.id, cap.label("reason")).select_from(joined).where(person.c.barred.is_(None))
        return counted.group_by(person.c.id).subquery("counted")

    def _wished(self, person: FromClause, days: FromClause, zones: Sequence[ZoneInfo]) -> FromClause:
        """Over those few who have asked for something."""
        now, wish = self.context.now, frequency_wishes.c
        known = contacts(self.run_id, ANY_PERIOD, earliest(ANY_PERIOD, zones, now), now).alias("wished_contacts")
        theirs = frequency_wishes.join(person, wish.customer_id == person.c.id)
        joined = theirs.join(days, self._that_day(person, days)).join(known, known.c.customer_id == wish.customer_id)
        full = wish_reached(known.c.at, days.c)
        counted = select(person.c.id, full.label("reason")).select_from(joined).where(person.c.barred.is_(None))
        return counted.group_by(person.c.id, wish.most, wish.period).subquery("wished")

    def _that_day(self, person: FromClause, days: FromClause) -> ColumnElement[bool]:
        planned = func.coalesce(person.c.not_before, literal(self.context.now, _Instant))
        return and_(days.c.zone == person.c.zone, planned >= days.c.day_from, planned < days.c.day_to)

    def _told(self, person: FromClause, joined: FromClause, barred: ColumnElement[Any]) -> Select[Any]:
        held = held_out(
            person.c.id,
            workspace=self.rules.holdout_percent,
            segment=self.segment,
            campaign=self.options.holdout_percent,
        )
        reason = case((barred.is_not(None), barred), *held) if held else barred
        columns = (person.c.id, person.c.slot, person.c.address, reason.label("reason"), person.c.not_before)
        return select(*columns).select_from(joined)


async def judging(
    conn: AsyncConnection,
    run_id: int,
    channel: ChannelKind,
    options: Options,
    segment: Mapping[str, Any] | None,
    context: EvaluationContext,
    until: datetime,
    *,
    writes: bool = True,
) -> Judging:
    """By the contact rules as they stand. Where there are caps, other freezes that count wait until this one's
    transaction ends, unless nothing is written (`writes`)."""
    rules = await contact_rules_now(conn)
    windows, caps = windows_for(rules, channel.name, options), caps_for(rules, channel.name, options)
    wishes = await wishes_in_use(conn)
    if (rules.caps or wishes) and writes:
        await take_turn(conn, obeying=bool(caps or wishes))
    zones = await zones_in_use(conn, context.timezone) if windows or caps or wishes else []
    return Judging(run_id, channel, options, context, until, rules, segment, windows, caps, zones, wishes)


def _with_address(
    members: FromClause, channel: ChannelKind, now: datetime, *, many: bool
) -> tuple[FromClause, FromClause]:
    """`members` joined with where each may be written to."""
    if many:
        all_chosen = chosen_addresses(channel, now)
        return members.outerjoin(all_chosen, all_chosen.c.customer_id == members.c.id), all_chosen
    chosen = chosen_address(members.c.id, channel, now)
    return members.outerjoin(chosen, true()), chosen

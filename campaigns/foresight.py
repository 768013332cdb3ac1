"""What a launch would do, seen before it: who gets it and when, who does not and why, and what to look at.

The same questions that approval and the freeze ask, without writing anything: whoever belongs now, by the clocks of the
due time. What changes until then, and frequency caps that others use up meanwhile, cannot be foreseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Subquery, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, missing, timing
from campaigns.approve import checked_sender, contents_of
from campaigns.options import Options
from campaigns.respect.household import DUPLICATE, would_skip
from campaigns.respect.judging import judging
from campaigns.store import Campaign
from channels.registry import channel_named
from runtime.errors import Invalid, Problem
from runtime.registry import ChannelKind
from runtime.settings import BadSetting, Settings
from segments.context import EvaluationContext, context_at
from segments.patterns import time_limit

LONGEST = 30.0  # seconds
MANY = 20_000  # people; from there on addresses are sorted rather than looked up


@dataclass(frozen=True)
class Foresight:
    """Of `audience` people `reached` would get a message, none before `first` and all due by `last` (None: at once);
    `skipped` counts the others by reason. `empty`: fields that the mail shows → how many lack them. `problems` keep it
    from being launched, `warnings` do not."""

    audience: int = 0
    reached: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    due: datetime | None = None
    first: datetime | None = None
    last: datetime | None = None
    empty: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    problems: Sequence[Problem] = ()


async def foresee(conn: AsyncConnection, campaign: Campaign, *, settings: Settings, now: datetime) -> Foresight:
    """For a draft. What cannot be evaluated is told as a problem."""
    due, context = campaign.schedule.first(now), context_at(now, settings)
    try:
        contents = await contents_of(conn, campaign, settings)
        checked_sender(campaign, settings)
        if due is None:
            raise Invalid(Problem("schedule.at", "has passed; choose a later time"))
        written = audience.of_run(await audience.written_out(conn, campaign), due)
        async with time_limit(conn, LONGEST):
            found = await _judged(conn, campaign, written, due, context)
            fields = frozenset[str]().union(*(content.fields for content in contents))
            lacking = await missing.count_missing(conn, written, fields, context)
    except BadSetting as error:
        return Foresight(problems=[Problem("", str(error))])
    except Invalid as error:
        return Foresight(problems=error.problems)
    reached = found.pop(None, _Group())
    skipped = Counter({str(reason): group.n for reason, group in found.items()})
    skipped.update(reached.doubles)
    total = reached.n + sum(group.n for group in found.values())
    warnings = [warning for content in contents for warning in content.warnings]
    if reached.cancelled:
        warnings.append(f"{reached.cancelled} of them would be due only after the deadline, and be cancelled")
    nobody = [Problem("", "the audience matches nobody")] if not total and campaign.schedule.cron is None else []
    return Foresight(
        total,
        total - skipped.total(),
        skipped,
        due,
        reached.first,
        reached.last,
        {name: n for name, n in lacking.fields.items() if n},
        list(dict.fromkeys(warnings)),
        nobody,
    )


@dataclass(frozen=True)
class _Group:
    """Those of one reason. `cancelled`: due after the deadline. `doubles`: who is skipped for another one of them."""

    n: int = 0
    cancelled: int = 0
    first: datetime | None = None
    last: datetime | None = None
    doubles: Mapping[str, int] = field(default_factory=dict)


async def _judged(
    conn: AsyncConnection, campaign: Campaign, written: audience.Stored, due: datetime, context: EvaluationContext
) -> dict[Any, _Group]:
    """By reason; None for those who get a message."""
    options: Options = campaign.options
    members = await audience.members(conn, written, context)
    zone = campaign.schedule.timezone or context.timezone
    frozen = max(context.now, due - timing.lead(options, due, zone))
    slots = await timing.slots(conn, options, members, timing.Start(0, due, zone, frozen))
    channel = channel_named(campaign.channel)
    kind = ChannelKind(channel.name, channel.address_kind)
    segment, then = written.get("holdout"), replace(context, now=frozen)
    judge = await judging(conn, 0, kind, options, segment, then, slots.until(frozen), writes=False)
    many = await audience.size(conn, written, context) > MANY
    judged = judge.judged(slots.planned, many=many).subquery("judged")
    deadline = None if options.deadline is None else due + timedelta(hours=options.deadline)
    found = await _counted(conn, judged, deadline)
    if options.one_per_household and None in found:
        reached = select(judged.c.id, judged.c.address).where(judged.c.reason.is_(None))
        found[None] = replace(found[None], doubles=await would_skip(conn, reached))
    return found


async def _counted(conn: AsyncConnection, judged: Subquery, deadline: datetime | None) -> dict[Any, _Group]:
    planned = judged.c.not_before
    counted = select(
        judged.c.reason,
        func.count().label("n"),
        (func.count().filter(planned > deadline) if deadline else literal(0)).label("late"),
        func.min(planned).label("first"),
        func.max(planned).label("last"),
        (func.count(judged.c.address) - func.count(judged.c.address.distinct())).label("doubles"),
    )
    return {
        row.reason: _Group(row.n, row.late, row.first, row.last, {DUPLICATE: row.doubles} if row.doubles else {})
        for row in await conn.execute(counted.group_by(judged.c.reason))
    }

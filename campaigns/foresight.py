"""What a launch would do, seen before it: who gets it and when, who does not and why, and what to look at.

The same questions that approval and the freeze ask, as of now and without writing anything. What changes until the due
time, and frequency caps that others use up meanwhile, cannot be foreseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, missing, timing
from campaigns.approve import checked_sender, contents_of
from campaigns.options import Options
from campaigns.respect.household import DUPLICATE
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
    skipped = {str(reason): group.n for reason, group in found.items()}
    if reached.doubles:
        skipped[DUPLICATE] = skipped.get(DUPLICATE, 0) + reached.doubles
    total = reached.n + sum(group.n for group in found.values())
    nobody = [Problem("", "the audience matches nobody")] if not total and campaign.schedule.cron is None else []
    return Foresight(
        total,
        reached.n - reached.doubles,
        skipped,
        due,
        reached.first,
        reached.last,
        {name: n for name, n in lacking.fields.items() if n},
        list(dict.fromkeys(warning for content in contents for warning in content.warnings)),
        nobody,
    )


@dataclass(frozen=True)
class _Group:
    """Those of one reason. `doubles`: addresses that come again."""

    n: int = 0
    doubles: int = 0
    first: datetime | None = None
    last: datetime | None = None


async def _judged(
    conn: AsyncConnection, campaign: Campaign, written: audience.Stored, due: datetime, context: EvaluationContext
) -> dict[Any, _Group]:
    """By reason; None for those who get a message."""
    options: Options = campaign.options
    members = await audience.members(conn, written, context)
    start = timing.Start(0, due, campaign.schedule.timezone or context.timezone, context.now)
    slots = await timing.slots(conn, options, members, start)
    channel = channel_named(campaign.channel)
    kind = ChannelKind(channel.name, channel.address_kind)
    segment, until = written.get("holdout"), slots.until(context.now)
    judge = await judging(conn, 0, kind, options, segment, context, until, writes=False)
    many = await audience.size(conn, written, context) > MANY
    judged = judge.judged(slots.planned, many=many).subquery("judged")
    doubles = func.count(judged.c.address) - func.count(judged.c.address.distinct())
    times = (func.min(judged.c.not_before), func.max(judged.c.not_before))
    rows = await conn.execute(select(judged.c.reason, func.count(), doubles, *times).group_by(judged.c.reason))
    return {row[0]: _Group(*row[1:]) for row in rows}

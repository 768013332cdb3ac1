"""Approval: everything that could go wrong is looked at before anything goes out, and what was seen is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert, null
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, missing
from campaigns.content import CompiledContent
from campaigns.draft import compiled
from campaigns.experiments.check import checked_senders, compiled_variants
from campaigns.experiments.editions import stored_editions
from campaigns.experiments.plan import Experiment
from campaigns.models import snapshots
from campaigns.store import Campaign, attribute_keys, content_of
from channels.contract import ChannelError, Common
from channels.registry import channel_named
from runtime.errors import Invalid, Problem
from runtime.settings import Settings
from segments.context import context_at


@dataclass(frozen=True)
class Approval:
    """What approval found: how many people, how many of them may see an empty value and where, and what to look at."""

    audience: int
    people_with_empty: int
    empty: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    variants: tuple[Found, ...] = ()

    def to_json(self) -> dict[str, Any]:
        seen = {} if not self.variants else {"variants": [asdict(variant) for variant in self.variants]}
        return {
            "audience": self.audience,
            "people_with_empty": self.people_with_empty,
            "empty": self.empty,
            "warnings": list(self.warnings),
            **seen,
        }


@dataclass(frozen=True)
class Found:
    """What approval found in one variant of an experiment, as if all of the audience got it."""

    name: str
    people_with_empty: int
    empty: dict[str, int]
    warnings: tuple[str, ...]


async def approve(
    conn: AsyncConnection, campaign: Campaign, *, settings: Settings, by: str | None, now: datetime
) -> int:
    """Take the snapshot that runs will read; answers its id. Raises Invalid or BadSetting naming the culprit."""
    given, attributes = await content_of(conn, campaign), await attribute_keys(conn)
    content = compiled(given, settings, attributes)
    sender = checked_sender(campaign, settings)
    written = await audience.written_out(conn, campaign)
    experiment = campaign.options.tested
    contents = {} if experiment is None else _contents(experiment, given, settings, attributes)
    report = await _audience_report(conn, campaign, written, content, contents, settings, now)
    row = insert(snapshots).values(
        campaign_id=campaign.id,
        compiled=content.to_json(),
        variants=null() if experiment is None else _editions(campaign, experiment, contents, sender),
        sender=sender,
        audience=written,
        options=campaign.options.to_json(),
        report=report.to_json(),
        approved_by=by,
        approved_at=now,
    )
    return int((await conn.execute(row.returning(snapshots.c.id))).scalar_one())


async def contents_of(conn: AsyncConnection, campaign: Campaign, settings: Settings) -> list[CompiledContent]:
    """What people would get: the campaign's content, or each variant of it. Raises Invalid."""
    given, attributes = await content_of(conn, campaign), await attribute_keys(conn)
    experiment = campaign.options.tested
    if experiment is None:
        return [compiled(given, settings, attributes)]
    return list(_contents(experiment, given, settings, attributes).values())


def checked_sender(campaign: Campaign, settings: Settings) -> str:
    """The sender that messages will show. Raises Invalid (`from`), BadSetting for the way out (HEARTH_SMTP_URL)."""
    channel = channel_named(campaign.channel)
    channel.configure(settings)
    sender = campaign.sender or settings.mail_from
    try:
        channel.composer(Common(sender=sender))
    except (Invalid, ChannelError) as error:
        culprit = "from" if campaign.sender else "HEARTH_MAIL_FROM"
        message = error.problems[0].message if isinstance(error, Invalid) else str(error)
        raise Invalid(Problem(culprit, message)) from None
    return sender


async def _audience_report(
    conn: AsyncConnection,
    campaign: Campaign,
    written: audience.Stored,
    content: CompiledContent,
    variants: Mapping[str, CompiledContent],
    settings: Settings,
    now: datetime,
) -> Approval:
    context = context_at(now, settings)
    size = await audience.size(conn, written, context)
    shown = list(variants.values()) or [content]
    warnings = tuple(dict.fromkeys(warning for one in shown for warning in one.warnings))
    if size == 0:
        if campaign.schedule.cron is None:
            raise Invalid(Problem(_audience_field(campaign), "matches nobody: there is no one to write to"))
        warnings = (*warnings, "the audience matches nobody at present")
    asked = frozenset[str]().union(*(one.fields for one in shown))
    missed = {asked: await missing.count_missing(conn, written, asked, context)}
    for one in variants.values():  # those that show the same fields are counted together
        if one.fields not in missed:
            missed[one.fields] = await missing.count_missing(conn, written, one.fields, context)
    each = tuple(
        Found(name, missed[one.fields].people, missed[one.fields].fields, one.warnings)
        for name, one in variants.items()
    )
    return Approval(size, missed[asked].people, missed[asked].fields, warnings, each)


def _contents(
    experiment: Experiment, given: Mapping[str, Any], settings: Settings, attributes: Sequence[str]
) -> dict[str, CompiledContent]:
    """What each variant shows, by name."""
    names = [variant.name for variant in experiment.variants]
    return dict(zip(names, compiled_variants(given, experiment, settings, attributes), strict=True))


def _editions(
    campaign: Campaign, experiment: Experiment, contents: Mapping[str, CompiledContent], sender: str
) -> list[dict[str, Any]]:
    senders = checked_senders(channel_named(campaign.channel), experiment, sender)
    return stored_editions(list(contents), list(contents.values()), senders)


def _audience_field(campaign: Campaign) -> str:
    if campaign.segment_id is not None:
        return "segment_id"
    return "audience_id" if campaign.audience_id is not None else "rule"

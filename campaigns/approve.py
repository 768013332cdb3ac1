"""Approval: everything that could go wrong is looked at before anything goes out, and what was seen is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import audience, missing
from campaigns.content import CompiledContent
from campaigns.draft import compiled
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

    def to_json(self) -> dict[str, Any]:
        return {
            "audience": self.audience,
            "people_with_empty": self.people_with_empty,
            "empty": self.empty,
            "warnings": list(self.warnings),
        }


async def approve(
    conn: AsyncConnection, campaign: Campaign, *, settings: Settings, by: str | None, now: datetime
) -> int:
    """Take the snapshot that runs will read; answers its id. Raises Invalid or BadSetting naming the culprit."""
    content = compiled(await content_of(conn, campaign), settings, await attribute_keys(conn))
    sender = checked_sender(campaign, settings)
    written = await audience.written_out(conn, campaign)
    report = await _audience_report(conn, campaign, written, content, settings, now)
    row = insert(snapshots).values(
        campaign_id=campaign.id,
        compiled=content.to_json(),
        sender=sender,
        audience=written,
        options=campaign.options.to_json(),
        report=report.to_json(),
        approved_by=by,
        approved_at=now,
    )
    return int((await conn.execute(row.returning(snapshots.c.id))).scalar_one())


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
    settings: Settings,
    now: datetime,
) -> Approval:
    context = context_at(now, settings)
    size = await audience.size(conn, written, context)
    warnings = content.warnings
    if size == 0:
        if campaign.schedule.cron is None:
            raise Invalid(Problem(_audience_field(campaign), "matches nobody: there is no one to write to"))
        warnings = (*warnings, "the audience matches nobody at present")
    found = await missing.count_missing(conn, written, content.fields, context)
    return Approval(size, found.people, found.fields, warnings)


def _audience_field(campaign: Campaign) -> str:
    if campaign.segment_id is not None:
        return "segment_id"
    return "audience_id" if campaign.audience_id is not None else "rule"

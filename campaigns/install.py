"""What this room tells the others: its jobs and ticks, and which segments and lists its campaigns use."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, any_, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import deadline, figures, freeze, schedule, workspace
from campaigns.dispatch import batch
from campaigns.experiments import decide
from campaigns.models import campaigns
from campaigns.sending import judge
from segments.uses import Use, register_audience_users, register_segment_users
from tracking.recount import register_counted_whole

JOBS = (freeze.prepare_run, batch.send_batch, deadline.end_run, figures.count_figures, workspace.count_overview)
TICKS = (
    schedule.start_due,
    judge.judge_campaigns,
    decide.decide_due,
    figures.count_in_time,
    workspace.count_overview_in_time,
)


def install() -> None:
    """Importing the modules above declares their jobs and ticks; may run twice."""
    register_counted_whole("campaigns", figures.forget)
    register_counted_whole("workspace", workspace.forget)
    register_segment_users("campaigns", segment_users)
    register_audience_users("campaigns", audience_users)


async def segment_users(conn: AsyncConnection, segment_id: int) -> list[str]:
    """The campaigns that refer to a segment, by name."""
    excluded = literal(segment_id, BigInteger) == any_(campaigns.c.exclude_segment_ids)
    within = cast(f"$.**.in_segment ? (@ == {int(segment_id)})", JSONPATH)
    in_rule = func.jsonb_path_exists(campaigns.c.rule, within, type_=Boolean)
    uses = or_(campaigns.c.segment_id == segment_id, excluded, in_rule)
    rows = await conn.execute(select(campaigns.c.id, campaigns.c.name).where(uses).order_by(campaigns.c.id))
    return [f"campaign {row.id} ({row.name})" for row in rows]


async def audience_users(conn: AsyncConnection, audience_id: int) -> list[Use]:
    """The campaigns that go to a list, or ask about it in their own rule."""
    within = cast(f"$.**.in_audience ? (@ == {int(audience_id)})", JSONPATH)
    in_rule = func.jsonb_path_exists(campaigns.c.rule, within, type_=Boolean)
    uses = or_(campaigns.c.audience_id == audience_id, in_rule)
    rows = await conn.execute(select(campaigns.c.id, campaigns.c.name).where(uses).order_by(campaigns.c.id))
    return [Use("campaign", row.id, row.name) for row in rows]

"""The audience of a campaign: written out when it is approved, evaluated when a run is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.anchors import read_anchor
from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from segments import engine
from segments.context import EvaluationContext
from segments.models import segments

Stored = Mapping[str, Any]
"""{"rule": a rule, "exclude": [rules], "holdout"?: {"segment_id", "percent"}}, with nested segments written out: what a
snapshot keeps. `holdout` is that of the campaign's own segment; those of segments within its rule do not count.

With a date anchor also {"anchor": …, "timezone": …}; of one run (`of_run`) then {"about": the anchor's rule} instead.
"""


async def written_out(conn: AsyncConnection, campaign: Campaign) -> dict[str, Any]:
    """The campaign's audience as it stands now, referring to no segment any more. Raises Invalid naming the field."""
    anchored = campaign.schedule.anchor
    anchor = {"anchor": anchored.to_json(), "timezone": campaign.schedule.timezone} if anchored else {}
    return {
        **anchor,
        "rule": await _expanded(conn, _own_rule(campaign), "segment_id" if campaign.segment_id else "rule"),
        "exclude": [
            await _expanded(conn, {"in_segment": segment_id}, f"exclude_segment_ids[{place}]")
            for place, segment_id in enumerate(campaign.exclude_segment_ids)
        ],
        **await _holdout(conn, campaign.segment_id),
    }


def of_run(audience: Stored, occurrence: datetime) -> Stored:
    """The audience of one run: of those who belong, with an anchor those whose day (or hour) it is."""
    if "anchor" not in audience:
        return audience
    about = read_anchor(audience["anchor"]).rule_of(occurrence, audience["timezone"])
    kept = {name: value for name, value in audience.items() if name not in ("anchor", "timezone")}
    return {**kept, "rule": {"all": [audience["rule"], about]}, "about": about}


async def members(conn: AsyncConnection, audience: Stored, context: EvaluationContext) -> Select[tuple[int]]:
    """`SELECT customers.id` of everybody in the audience; further columns of `customers` may be added."""
    return await engine.freeze_select(conn, audience["rule"], context, exclude=audience["exclude"])


async def size(conn: AsyncConnection, audience: Stored, context: EvaluationContext) -> int:
    """How many customers the audience has, whether or not they may be contacted."""
    chosen = (await members(conn, audience, context)).subquery()
    return int(await conn.scalar(select(func.count()).select_from(chosen)) or 0)


async def matched_appliances(
    conn: AsyncConnection, audience: Stored, context: EvaluationContext
) -> ColumnElement[bool] | None:
    """A condition over `appliances`: those for which a customer is in the audience; None if it asks for none. Where an
    anchor is a date of appliances, those whose day it is."""
    about = audience.get("about", {})
    rule = about if about.get("has") == "appliances" else audience["rule"]
    return await engine.record_condition(conn, rule, context, "appliances")


def _own_rule(campaign: Campaign) -> Mapping[str, Any]:
    if campaign.segment_id is not None:
        return {"in_segment": campaign.segment_id}
    if campaign.audience_id is not None:
        return {"in_audience": campaign.audience_id}
    assert campaign.rule is not None
    return campaign.rule


async def _holdout(conn: AsyncConnection, segment_id: int | None) -> dict[str, Any]:
    percent = await conn.scalar(select(segments.c.holdout_percent).where(segments.c.id == segment_id))
    return {"holdout": {"segment_id": segment_id, "percent": percent}} if percent else {}


async def _expanded(conn: AsyncConnection, rule: Mapping[str, Any], field: str) -> Any:
    try:
        return await engine.expand(conn, rule)
    except Invalid as error:
        raise Invalid([Problem(f"{field}.{one.path}".rstrip("."), one.message) for one in error.problems]) from None

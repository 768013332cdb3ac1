"""Who gets nothing, so that what campaigns do can be told from what would have happened anyway.

Three kinds, each a permanent hash of the customer with its own prefix, so that they are independent: of the workspace
(no campaign at all), of a segment (no campaign to it), of a campaign (the same people in every campaign that holds that
share out). The reason says which; who falls under several is put down to the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement

from segments.bucket import BUCKETS, bucket_sql

GLOBAL_HOLDOUT = "global_holdout"
SEGMENT_HOLDOUT = "segment_holdout"
HOLDOUT = "holdout"

Held = list[tuple[ColumnElement[bool], str]]
"""Conditions with their reasons, for a CASE."""


def held_out(
    customer_id: ColumnElement[int], *, workspace: float, segment: Mapping[str, Any] | None, campaign: float
) -> Held:
    """Who is held out; shares in percent. `segment`: `{"segment_id", "percent"}` of a snapshot's audience."""
    shares = [
        ("holdout:global:", workspace, GLOBAL_HOLDOUT),
        (f"holdout:segment:{segment['segment_id']}:", segment["percent"], SEGMENT_HOLDOUT) if segment else None,
        ("holdout:", campaign, HOLDOUT),
    ]
    return [
        (bucket_sql(prefix, customer_id) < below, reason)
        for prefix, percent, reason in filter(None, shares)
        if (below := round(percent / 100 * BUCKETS)) > 0
    ]

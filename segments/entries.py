"""What segments say in a customer's timeline: when they entered and left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func

from customers.timeline import contribute, entry, newest
from segments.models import segment_changes, segments


def contribute_segments() -> None:
    """Enter this room's contribution."""
    contribute("segments", _moves, {"segment_entered", "segment_left"})


def _moves(customer_id: int, before: datetime, limit: int) -> Select[Any]:
    row = segment_changes.c
    kind = case((row.entered, "segment_entered"), else_="segment_left")
    data = func.jsonb_build_object("segment", segments.c.name, "id", segments.c.id, "by_rule", row.by_rule)
    moves = entry(row.at, kind, data).join_from(segment_changes, segments, segments.c.id == row.segment_id)
    return newest(moves.where(row.customer_id == customer_id, row.at <= before), row.at, limit)

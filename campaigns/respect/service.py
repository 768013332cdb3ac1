"""Whoever has an open service case is not sold to: a complaint or a visit that was asked for and is not over.

The written rule: such a customer is skipped, with the reason; the message is not kept for later, since promotion is
stale by then. A case is open while nothing says that it is over: a status other than completed or cancelled, no time
of completion, and without a status no visit either. One that was opened longer ago than the workspace's number of days
holds nothing back: books are not always closed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, DateTime, Select, and_, func, literal, or_, select

from customers.models import service_visits

OPEN_SERVICE = "open_service"
OVER = ("completed", "cancelled", "canceled", "closed", "resolved", "done", "已关闭", "已解决", "已处理")


def open_case(now: datetime, days: int) -> ColumnElement[bool]:
    """Whether a row of `service_visits` is an open case at `now`."""
    visit = service_visits.c
    present = literal(now, DateTime(timezone=True))
    silent = and_(visit.status_folded.is_(None), or_(visit.visited_at.is_(None), visit.visited_at > present))
    return and_(
        visit.completed_at.is_(None),
        or_(silent, visit.status_folded.not_in(OVER)),
        func.coalesce(visit.requested_at, visit.visited_at, visit.created_at) > literal(now - timedelta(days=days)),
    )


def with_open_case(now: datetime, days: int) -> Select[tuple[int]]:
    """`SELECT DISTINCT customer_id` of those who have one."""
    return select(service_visits.c.customer_id).where(open_case(now, days)).distinct()

"""Events that others tell, in bulk."""

from __future__ import annotations

from typing import Any

from tracking.custom import record_events
from web.access import Route
from web.api.contract import Ask, call
from web.api.records import Accepted, as_answer, records_of

ROUTES: list[Route] = []


@call(ROUTES, "POST", "/events", name="upsert_events", body=dict[str, Any], answer=Accepted)
async def take(ask: Ask) -> Any:
    """Create or update events by key: one record, or up to 1000 as `items`."""
    result = await record_events(ask.conn, records_of(ask.body), settings=ask.house.settings, now=ask.now)
    return as_answer(result)

"""Follow-ups: who should be called now and why, and what came of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field

from runtime.errors import Invalid, Problem
from sales import outcomes
from sales.models import follow_ups
from sales.outcomes import LONGEST_NOTE, record_outcome
from sales.worklist import STATES, Asked, listing, rank
from web.access import KEEPERS, SIGNED_IN, Route
from web.api.contract import Ask, Body, call
from web.api.shapes import PAGE_QUERY, Page, paged
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []


class FollowUp(BaseModel):
    """`state`: open, done or expired; `given_at` null: it waits until its salesperson's day has room. `evidence`: what
    speaks for it, each an object with its `kind`: event, visit, rating or appliance."""

    id: int
    customer_id: int
    external_id: str | None
    name: str | None
    salesperson: str
    rule: str
    state: str
    value: Decimal
    evidence: list[dict[str, Any]]
    opened_at: datetime
    given_at: datetime | None
    due_at: datetime | None
    escalated_at: datetime | None
    outcome: str | None
    note: str | None
    closed_at: datetime | None
    closed_by: str | None


class OutcomeIn(Body):
    outcome: Literal["called", "visited", "wechat", "not_interested", "ordered"]
    note: str = Field("", max_length=LONGEST_NOTE)


QUERY = {
    "state": f"one of {', '.join(STATES)}; every one unless told",
    "rule": "the code of a rule",
    "salesperson": "a salesperson's code",
    "dealer": "a dealer's code",
    **PAGE_QUERY,
}


@call(ROUTES, "GET", "/follow-ups", name="follow_ups", answer=Page[FollowUp], allow=SIGNED_IN, query=QUERY)
async def listed(ask: Ask) -> Any:
    """Follow-ups, those first that are worth most and due soonest."""
    asked = read_listing(ask.request, ("rank",), default="-rank")
    wanted = {name: ask.query(name) or "" for name in ("state", "rule", "salesperson", "dealer")}
    if wanted["state"] not in ("", *STATES):
        raise Invalid(Problem("state", f"must be one of {', '.join(STATES)}"))
    statement = listing(Asked(own=ask.salesperson, **wanted))
    found = await fetch_page(ask.conn, statement, asked, {"rank": rank(ask.now)}, follow_ups.c.id)
    return paged(found.rows, found.next, lambda row: row)


@call(
    ROUTES,
    "POST",
    "/follow-ups/{id:int}/outcome",
    name="follow_up_outcome",
    body=OutcomeIn,
    answer=FollowUp,
    allow=KEEPERS,
)
async def close(ask: Ask) -> Any:
    """What came of a follow-up; it is done then."""
    said = outcomes.Outcome(ask.body.outcome, ask.viewer.name, ask.body.note)
    return await record_outcome(ask.conn, ask.id, said, ask.now, salesperson=ask.salesperson)

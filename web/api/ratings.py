"""Ratings: what customers answered to surveys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import Text, cast, select

from customers.models import customers, ratings
from customers.surveys import SURVEYS
from runtime.errors import Invalid, Problem
from web.access import SIGNED_IN, Route
from web.api.contract import Ask, call
from web.api.shapes import PAGE_QUERY, Page, number_of, paged
from web.listing import fetch_page, read_listing

ROUTES: list[Route] = []
SORTS = {"at": ratings.c.at}


class About(BaseModel):
    """The record that was rated."""

    kind: Literal["service_visits", "orders", "appliances"]
    number: str


class Rating(BaseModel):
    """`counts`: it is the person's last answer to this survey of this message; `machine` names what gave it, null for a
    person."""

    customer_id: int
    external_id: str | None
    at: datetime
    survey: str
    score: int
    counts: bool
    comment: str | None
    channel: str | None
    campaign_id: int | None
    about: About | None
    provider: str | None
    category: str | None
    salesperson: str | None
    machine: str | None


@call(
    ROUTES,
    "GET",
    "/ratings",
    name="list_ratings",
    answer=Page[Rating],
    allow=SIGNED_IN,
    query={
        "survey": f"one of {', '.join(SURVEYS)}",
        "customer_id": "of one customer",
        "salesperson": "the code of the salesperson who looked after them then",
        "provider": "of one service provider",
        "all": "`true`: answers that were changed later, and those of machines, too",
        **PAGE_QUERY,
    },
)
async def listing(ask: Ask) -> Any:
    """Answers to surveys, the latest first; a salesperson's token sees their own households'."""
    row = ratings.c
    statement = select(ratings, customers.c.external_id).join(customers, customers.c.id == row.customer_id)
    for name in ("survey", "salesperson", "provider"):
        if (value := ask.query(name)) is not None:
            statement = statement.where(row[name] == _known(name, value))
    if (person := number_of("customer_id", ask.query("customer_id"))) is not None:
        statement = statement.where(row.customer_id == person)
    if ask.query("all") != "true":
        statement = statement.where(row.counts)
    if ask.salesperson is not None:
        statement = statement.where(customers.c.salesperson == ask.salesperson)
    asked = read_listing(ask.request, tuple(SORTS), default="-at", limit=100)
    key = cast(row.customer_id, Text) + ":" + cast(row.key, Text)
    found = await fetch_page(ask.conn, statement, asked, SORTS, key)
    return paged(found.rows, found.next, _record)


def _record(row: Any) -> dict[str, Any]:
    about = None if row.about is None else {"kind": row.about, "number": row.about_number}
    return {**row._mapping, "about": about, "machine": row.machine_reason}


def _known(name: str, value: str) -> str:
    if name == "survey" and value not in SURVEYS:
        raise Invalid(Problem("survey", f"unknown survey {value!r}: one of {', '.join(SURVEYS)}"))
    return value

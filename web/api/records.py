"""Records in bulk: one or up to 1,000 at a time, upserted by their identities, numbers or codes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from customers.results import UpsertResult
from customers.upsert import UPSERTS, upsert
from runtime.errors import Invalid, Problem
from web.access import Route
from web.api.contract import Ask, call

ROUTES: list[Route] = []
MOST = 1_000

PATHS = {
    "customers": "/customers",
    "orders": "/orders",
    "appliances": "/appliances",
    "service_visits": "/service-visits",
    "salespeople": "/salespeople",
    "dealers": "/dealers",
    "communities": "/communities",
    "products": "/products",
}
assert PATHS.keys() == UPSERTS.keys()


class Culprit(BaseModel):
    path: str
    message: str


class Rejected(BaseModel):
    index: int
    errors: list[Culprit]


class Records(BaseModel):
    created: int
    updated: int
    unchanged: int


class Accepted(BaseModel):
    """`ids` stands for the accepted records in their order."""

    accepted: int
    rejected: list[Rejected]
    records: Records
    ids: list[int]


def records_of(body: dict[str, Any]) -> list[Any]:
    """The records of a body: one, or those of `items`. Raises Invalid for too many."""
    if set(body) != {"items"}:
        return [body]
    items = body["items"]
    if not isinstance(items, list) or not 1 <= len(items) <= MOST:
        raise Invalid(Problem("items", f"must be a list of 1 to {MOST} records"))
    return items


def as_answer(result: UpsertResult) -> dict[str, Any]:
    """The account of a batch as the API tells it."""
    return {
        "accepted": result.accepted,
        "rejected": [{"index": reject.index, "errors": list(map(vars, reject.problems))} for reject in result.rejected],
        "records": {"created": result.created, "updated": result.updated, "unchanged": result.unchanged},
        "ids": list(result.ids),
    }


def _declare(kind: str, path: str) -> None:
    async def take(ask: Ask) -> Any:
        result = await upsert(ask.conn, kind, records_of(ask.body), settings=ask.house.settings, now=ask.now)
        return as_answer(result)

    take.__doc__ = f"Create or update {kind.replace('_', ' ')}: one record, or up to {MOST} as `items`."
    call(ROUTES, "POST", path, name=f"upsert_{kind}", body=dict[str, Any], answer=Accepted)(take)


for _kind, _path in PATHS.items():
    _declare(_kind, _path)

"""Shapes that several calls share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from runtime.errors import Invalid, Problem
from web.api.contract import LARGEST_ID

Item = TypeVar("Item")

PAGE_QUERY = {"limit": "how many, 1 to 1000", "cursor": "`next` of the page before"}


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it, null on the last."""

    items: list[Item]
    next: str | None


class Started(BaseModel):
    """What was uploaded waits for a worker under this id."""

    id: int


def paged(rows: Sequence[Any], following: str | None, record: Callable[[Any], Any]) -> dict[str, Any]:
    """A page of `rows`, each as `record` puts it."""
    return {"items": [record(row) for row in rows], "next": following}


def number_of(name: str, given: str | None) -> int | None:
    """An id in a query. Raises Invalid naming the parameter."""
    if given is None:
        return None
    if not given.isdecimal() or len(given) > 19 or int(given) > LARGEST_ID:
        raise Invalid(Problem(name, f"{given[:40]!r} is not an id"))
    return int(given)

"""Shapes that several calls share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item")

PAGE_QUERY = {"limit": "how many, 1 to 1000", "cursor": "`next` of the page before"}


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it, null on the last."""

    items: list[Item]
    next: str | None


def paged(rows: Sequence[Any], following: str | None, record: Callable[[Any], Any]) -> dict[str, Any]:
    """A page of `rows`, each as `record` puts it."""
    return {"items": [record(row) for row in rows], "next": following}

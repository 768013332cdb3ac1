"""Which tables hold something about a customer, of whatever room: read from the metadata, not imported."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from runtime.database import LOOKUP, PERSON, metadata


def person_tables() -> Sequence[Table]:
    """All tables with rows about a person, by `customer_id`, without `customers` itself."""
    return _spread(PERSON["spread"])


def lookup_tables() -> Sequence[Table]:
    """All tables that map a value to its customer."""
    return _spread(LOOKUP["spread"])


def _spread(kind: str) -> Sequence[Table]:
    tables = metadata.sorted_tables
    return [table for table in tables if table.info.get("spread") == kind and "customer_id" in table.c]

"""The rules of DESIGN.md for tables that may one day be spread over a cluster, checked over the metadata."""

from __future__ import annotations

import pytest
from sqlalchemy import Table, UniqueConstraint

import hearth
from runtime.database import metadata

hearth.install()
TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)
SPREADS = {"person", "lookup", "reference", "local"}


def person_key(table: Table) -> str:
    return "id" if table.name == "customers" else "customer_id"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_says_how_it_is_spread(table: Table) -> None:
    assert table.info.get("spread") in SPREADS


@pytest.mark.parametrize("table", [table for table in TABLES if table.info.get("spread") == "person"], ids=str)
def test_what_is_about_a_person_is_keyed_by_the_person(table: Table) -> None:
    key = person_key(table)
    assert next(iter(table.primary_key)).name == key
    unique = [index.columns for index in table.indexes if index.unique]
    unique += [item.columns for item in table.constraints if isinstance(item, UniqueConstraint)]
    assert all(key in {column.name for column in columns} for columns in unique), "unique across customers"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_whoever_names_a_customer_is_about_a_person_or_a_lookup(table: Table) -> None:
    if "customer_id" in table.columns:
        assert table.info.get("spread") in {"person", "lookup"}


@pytest.mark.parametrize("table", [table for table in TABLES if table.info.get("spread") != "local"], ids=str)
def test_only_local_tables_are_referred_to_by_local_tables_alone(table: Table) -> None:
    """A spread or copied table may refer to copied tables, never to one that lives on a single node."""
    targets = {key.column.table.info.get("spread") for key in table.foreign_keys}
    assert targets <= {"reference"}

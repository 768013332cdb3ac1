"""Migrations build what the models declare, whoever runs them at the same time."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from runtime import migrate
from runtime.errors import Conflict, Unavailable


def test_migrated_database_equals_models(database_url: str) -> None:
    assert migrate.check(database_url) == []


def test_check_names_a_table_that_differs(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE workspace ADD COLUMN extra int")
    (problem,) = migrate.check(database_url)
    assert "workspace" in problem
    assert "extra" in problem


def test_empty_database_is_refused_until_upgraded(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    with pytest.raises(Conflict, match="hearth db upgrade"):
        migrate.require_newest(database_url)
    assert "hearth db upgrade" in migrate.check(database_url)[0]
    command = [
        sys.executable,
        "-c",
        "import sys; from runtime import migrate; migrate.upgrade(sys.argv[1])",
        database_url,
    ]
    starters = [subprocess.Popen(command) for _ in range(3)]
    assert [starter.wait(60) for starter in starters] == [0, 0, 0]
    migrate.require_newest(database_url)
    assert migrate.check(database_url) == []


def test_database_that_is_down_is_named() -> None:
    with pytest.raises(Unavailable, match="HEARTH_DATABASE_URL"):
        migrate.upgrade("postgresql://nobody@127.0.0.1:9/none")

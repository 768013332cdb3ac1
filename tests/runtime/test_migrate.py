"""Migrations build what the models declare, whoever runs them at the same time."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from runtime import migrate
from runtime.errors import Conflict, Unavailable
from tests.waiting import until

UPGRADE = "import sys; from runtime import migrate; migrate.upgrade(sys.argv[1])"


def test_migrated_database_equals_models(database_url: str) -> None:
    assert migrate.check(database_url) == []


def test_check_names_a_table_that_differs(database_url: str) -> None:
    with psycopg.connect(database_url) as conn:
        conn.execute("ALTER TABLE workspace ADD COLUMN extra int")
    (problem,) = migrate.check(database_url)
    assert "workspace" in problem
    assert "extra" in problem


def test_empty_database_is_refused_until_upgraded(database_url: str) -> None:
    _empty(database_url)
    with pytest.raises(Conflict, match="hearth db upgrade"):
        migrate.require_newest(database_url)
    assert "hearth db upgrade" in migrate.check(database_url)[0]
    starters = [_upgrading(database_url) for _ in range(3)]
    assert [starter.wait(60) for starter in starters] == [0, 0, 0]
    migrate.require_newest(database_url)
    assert migrate.check(database_url) == []


async def test_killed_migration_leaves_nothing_half_done(database_url: str) -> None:
    _empty(database_url)
    migrating = _upgrading(database_url)
    await until(lambda: _migrates(database_url))
    migrating.kill()
    migrating.wait()
    await until(lambda: not _migrates(database_url))
    with psycopg.connect(database_url) as conn:
        (tables,) = conn.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() or (None,)
    assert tables == 0
    migrate.upgrade(database_url)
    assert migrate.check(database_url) == []


def _upgrading(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", UPGRADE, url])


def _empty(url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")


def _migrates(url: str) -> bool:
    with psycopg.connect(url) as conn:
        query = (
            "SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND datname = %s"
        )
        return conn.execute(query, [conn.info.dbname]).fetchone() is not None


def test_database_that_is_down_is_named() -> None:
    with pytest.raises(Unavailable, match="HEARTH_DATABASE_URL"):
        migrate.upgrade("postgresql://nobody@127.0.0.1:9/none")

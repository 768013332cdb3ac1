"""One throw-away PostgreSQL for all test processes; each test gets its own database, cloned from a migrated template.

The server is the embedded one with its durability off: whoever comes first starts it, the last to leave stops it, and
what a killed run left behind is cleared by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

import hearth
from runtime import migrate
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.house import House, open_house
from runtime.postgres import THROWAWAY, Server
from runtime.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
MEMORY = Path("/dev/shm")
ROOM = 8 * 2**30  # bytes


def _place() -> Path:
    """Memory where there is enough: to clone a database is to make 750 files, which takes a disk half a second."""
    large = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).total >= ROOM
    return MEMORY if large else Path(tempfile.gettempdir())


CLUSTER = _place() / f"hearth-tests-{os.getuid()}-{hashlib.sha256(bytes(ROOT)).hexdigest()[:8]}"
SECRET = "a secret for tests that is long enough"
TEMPLATES_KEPT = 4  # of earlier migrations: another run may still use them

_numbers = itertools.count(1)

hearth.install()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The shared server, running until the session ends."""
    shared = Server(CLUSTER, THROWAWAY)
    try:
        shared.join()
    except Unavailable:  # without fsync a crashed machine leaves a broken cluster
        shutil.rmtree(CLUSTER / "postgres", ignore_errors=True)
        shared.join()
    try:
        _drop_leftovers(shared)
        yield shared
    finally:
        shared.leave()


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a database migrated to the newest revision; made once for all processes."""
    name = f"template_{_migrations_hash()}"
    with (CLUSTER / "template.lock").open("a") as lock, _admin(server) as admin:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name not in _databases(admin, "template\\_%"):
            _drop(admin, "building")
            admin.execute("CREATE DATABASE building")
            migrate.upgrade(server.url_of("building"))
            admin.execute(sql.SQL("ALTER DATABASE building RENAME TO {}").format(sql.Identifier(name)))
            for old in _databases(admin, "template\\_%")[:-TEMPLATES_KEPT]:
                _drop(admin, old)
    return name


@pytest.fixture
def database_url(server: Server, template: str) -> Iterator[str]:
    """The address of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with _admin(server) as admin:
        clone = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        admin.execute(clone)
        yield server.url_of(name)
        _drop(admin, name)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Defaults, over the test's own database and folder."""
    environ = {
        "HEARTH_DATABASE_URL": database_url,
        "HEARTH_DATA_DIR": str(tmp_path / "var"),
        "HEARTH_SECRET_KEY": SECRET,
    }
    return load_settings(environ, env_file=tmp_path / "no.env")


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    """The test's database."""
    assert settings.database_url is not None
    database = Database(settings.database_url)
    yield database
    await database.close()


@pytest.fixture
async def conn(db: Database) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that ends with the test."""
    async with db.begin() as connection:
        yield connection


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A process's context over the test's database."""
    async with open_house(settings) as opened:
        yield opened


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Prints a line under the summary of the whole run, whichever process the test ran in."""
    return lambda line: record_property("figures", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, line in report.user_properties if report.when == "call" else ():
                if name == "figures":
                    terminalreporter.write_line(str(line))


def _migrations_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "alembic").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _admin(server: Server) -> psycopg.Connection[tuple[str]]:
    return psycopg.connect(server.url, autocommit=True)


def _databases(admin: psycopg.Connection[tuple[str]], pattern: str) -> list[str]:
    rows = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY oid", [pattern])
    return [name for (name,) in rows]


def _drop(admin: psycopg.Connection[tuple[str]], name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _drop_leftovers(server: Server) -> None:
    """Drop the databases of test processes that are gone."""
    with _admin(server) as admin:
        for name in _databases(admin, "test\\_%"):
            if not Path(f"/proc/{name.split('_')[1]}").exists():
                with contextlib.suppress(psycopg.Error):  # another process drops it too
                    _drop(admin, name)

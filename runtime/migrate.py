"""Migrations: bring a database to the newest revision, or say what is missing.

`python -m runtime.migrate` tries them on an empty database and exits 1 if the outcome differs from the models.
Alembic is imported where it is needed: most processes only look whether the database is up to date.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from runtime.database import async_url, metadata
from runtime.errors import Conflict, Unavailable
from runtime.postgres import THROWAWAY, Server

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent.parent / "alembic"
_LOCK = 0x4865_6172  # any number, the same in every process
_OLDEST_SERVER = 15
_PARTITION = re.compile(r"events_(y\d+m\d+|default|past)")


def upgrade(url: str) -> None:
    """Bring the database to the newest revision, all or nothing; processes that try at once wait for each other."""
    with _connection(url) as connection:
        if _revision(connection) != newest_revision():
            from alembic import command

            command.upgrade(configuration(connection), "head")


def check(url: str) -> list[str]:
    """What keeps the database from fitting this program: pending revisions, tables that differ. Empty: all is well."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with _connection(url) as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": True})
        found, newest = _revision(connection), newest_revision()
        if found != newest:
            return [f"the database is at revision {found or 'none'}, the program at {newest}: run `hearth db upgrade`"]
        return [f"the database differs from the program: {change}" for change in compare_metadata(context, metadata)]


def require_newest(url: str) -> None:
    """Raises Conflict unless the database is at the newest revision (or a later one, while a rollout is under way)."""
    with _connection(url) as connection:
        found = _revision(connection)
    if found is None or found < newest_revision():
        raise Conflict(f"the database is at revision {found or 'none'}: run `hearth db upgrade`")


def newest_revision() -> str:
    """The revision of this program's newest migration; revisions are numbers of four digits."""
    return max(path.name[:4] for path in _FOLDER.glob("versions/[0-9]*.py"))


def configuration(connection: Connection, folder: Path = _FOLDER) -> Config:
    """Alembic's configuration for a migration on `connection`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def serialise(connection: Connection) -> None:
    """Wait until no other transaction migrates; held until this one ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def is_ours(_item: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Whether a table is described by our models: not the queue's own, nor a month of events."""
    return kind != "table" or not (name and (name.startswith("procrastinate_") or _PARTITION.fullmatch(name)))


def _revision(connection: Connection) -> str | None:
    if connection.scalar(select(func.to_regclass("alembic_version"))) is None:
        return None
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _rehearse() -> list[str]:
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), THROWAWAY) as url:
        upgrade(url)
        return check(url)


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(async_url(url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            version = int((connection.dialect.server_version_info or (0,))[0])
            if version < _OLDEST_SERVER:
                raise Unavailable(f"HEARTH_DATABASE_URL: Hearth needs PostgreSQL 15 or newer, this one is {version}")
            yield connection
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise Unavailable(f"the database does not answer: {reason}; see HEARTH_DATABASE_URL") from error
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit("\n".join(_rehearse()) or None)

"""Runs migrations on the connection that `runtime.migrate` gives, else (the `alembic` command) on the settings'."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

import hearth
from runtime.clock import utc_now
from runtime.database import async_url, metadata
from runtime.migrate import is_ours, serialise
from runtime.postgres import Server
from runtime.settings import load_settings
from tracking.partitions import make_partitions


def run(connection: Connection) -> None:
    serialise(connection)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=is_ours,
        compare_type=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()
        make_partitions(connection, utc_now())


def run_on(url: str) -> None:
    with create_engine(async_url(url)).begin() as connection:
        run(connection)


hearth.load_models()
given = context.config.attributes.get("connection")
if given is not None:
    run(given)
elif (settings := load_settings()).database_url is not None:
    run_on(settings.database_url)
else:
    with Server(settings.data_dir) as embedded_url:
        run_on(embedded_url)

"""A SELECT kept in a temporary table until its transaction ends: computed once, in parallel where that pays."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, Select, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement, Executable


class _Keep(Executable, ClauseElement):
    """CREATE TEMP TABLE … AS, which PostgreSQL plans in parallel, unlike INSERT … SELECT."""

    inherit_cache = False

    def __init__(self, name: str, query: Select[Any]) -> None:
        self.name = name
        self.query = query


@compiles(_Keep)
def _keep(element: _Keep, compiler: SQLCompiler, **options: Any) -> str:
    query = compiler.process(element.query, **options)
    return f"CREATE TEMP TABLE {element.name} ON COMMIT DROP AS {query}"


async def keep_ids(conn: AsyncConnection, name: str, query: Select[tuple[int]]) -> Table:
    """The ids that `query` answers (its first column, of any name) as the table `name (id)`, replacing one of before.

    `name` is ours, never from outside.
    """
    found = query.subquery("found")
    table = Table(name, MetaData(), Column("id", BigInteger))
    await conn.execute(text(f"DROP TABLE IF EXISTS pg_temp.{name}"))
    await conn.execute(_Keep(name, Select(found.c[0].label("id"))))
    await conn.execute(text(f"ANALYZE pg_temp.{name}"))
    return table

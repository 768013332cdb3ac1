"""Uploaded lists of people: a file of identities whose lines are matched to customers by a job (segments/matching.py).

    found = await create_audience(conn, name="Fair 2026", filename="fair.csv", by="anna")
    await append_chunk(conn, found.import_id, position, data)      # customers.imports.uploads, piece after piece
    await enqueue_audience(conn, found.id)

The lines that matched nobody, or not just one customer, are the rejects of its import (`rejects_csv(conn, import_id)`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.models import import_chunks, imports
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.jobs import defer
from segments.matching import IMPORT_KIND, match_audience, read_audience_mapping
from segments.models import audiences

NAME_LIMIT = 200


@dataclass(frozen=True)
class Audience:
    """An uploaded list. `state`: queued, running, done, failed (then `error` says why).

    rows = matched + unmatched + ambiguous + duplicates, in lines of the file; `matched` customers belong.
    """

    id: int
    name: str
    import_id: int | None
    state: str
    rows: int
    matched: int
    unmatched: int
    ambiguous: int
    duplicates: int
    error: str | None
    created_by: str | None
    created_at: datetime


async def create_audience(
    conn: AsyncConnection,
    *,
    name: str,
    filename: str,
    mapping: Any = None,
    create_missing: bool = False,
    by: str | None = None,
) -> Audience:
    """A new list, whose file then comes by `append_chunk`; `enqueue_audience` starts the matching.

    `mapping`: as for imports, of identities alone; None: guessed from the header. Raises Invalid.
    """
    if create_missing:
        raise Invalid(Problem("create_missing", "is not supported yet; import the file as customers first"))
    if mapping is not None:
        read_audience_mapping(mapping)
    plain = await _name(conn, name)
    upload = {"kind": IMPORT_KIND, "filename": filename, "mapping": mapping, "created_by": by}
    import_id = await conn.scalar(insert(imports).values(upload).returning(imports.c.id))
    row = insert(audiences).values(name=plain, import_id=import_id, created_by=by).returning(audiences)
    return audience_of((await conn.execute(row)).one())


async def enqueue_audience(conn: AsyncConnection, audience_id: int) -> None:
    """Let a worker match the list once this transaction commits. Raises NotFound, Conflict when it is under way."""
    found = await audience(conn, audience_id)
    if found.state != "queued":
        raise Conflict(f"audience {audience_id} ({found.name}) is {found.state} already")
    size = select(func.coalesce(func.sum(func.length(import_chunks.c.bytes)), 0)).where(
        import_chunks.c.import_id == found.import_id
    )
    await conn.execute(
        update(imports).where(imports.c.id == found.import_id).values(bytes_total=size.scalar_subquery())
    )
    await defer(conn, match_audience, audience_id=audience_id)


async def audience(conn: AsyncConnection, audience_id: int) -> Audience:
    """The list of that id. Raises NotFound."""
    row = (await conn.execute(audience_rows().where(audiences.c.id == audience_id))).one_or_none()
    if row is None:
        raise NotFound(f"there is no audience {audience_id}")
    return audience_of(row)


def audience_rows() -> Select[Any]:
    """All lists; `audience_of(row)` reads one."""
    return select(audiences)


def audience_of(row: Row[Any]) -> Audience:
    """A row of `audience_rows` (further columns are left aside)."""
    return Audience(**{column.name: row._mapping[column.name] for column in audiences.columns})


async def _name(conn: AsyncConnection, name: str) -> str:
    plain = " ".join(name.replace("\0", "").split())
    if not plain:
        raise Invalid(Problem("name", "is missing"))
    if len(plain) > NAME_LIMIT:
        raise Invalid(Problem("name", f"has at most {NAME_LIMIT} characters"))
    if await conn.scalar(select(audiences.c.id).where(audiences.c.name == plain)) is not None:
        raise Invalid(Problem("name", f"there is an audience {plain!r} already"))
    return plain

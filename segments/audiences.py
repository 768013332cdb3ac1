"""Uploaded lists of people: a file of identities whose lines are matched to customers by a job (segments/matching.py).

    found = await create_audience(conn, name="Fair 2026", filename="fair.csv", by="anna")
    await append_chunk(conn, found.import_id, position, data)      # customers.imports.uploads, piece after piece
    await enqueue_audience(conn, found.id)

The lines that matched nobody, or not just one customer, are the rejects of its import (customers/imports/uploads.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import AUDIENCES, note_changed
from customers.imports.pending import take_pending
from customers.models import import_chunks, import_rejects, imports
from runtime.errors import Conflict, Invalid, NotFound, Problem
from runtime.jobs import defer
from segments.lines import LIST_KIND, read_list_mapping
from segments.matching import match_audience, match_audience_again
from segments.models import audience_members, audiences
from segments.strangers import ListConsent
from segments.uses import audience_users

NAME_LIMIT = 200
LINE_KINDS: Mapping[str, tuple[str, ...]] = {
    "unmatched": ("unmatched", "unreadable"),
    "ambiguous": ("ambiguous",),
    "duplicates": ("duplicate",),
}
"""The counts of a list, and the kinds of kept lines that each counts."""


@dataclass(frozen=True)
class Audience:
    """An uploaded list. `state`: queued, running, done, failed (then `error` says why).

    rows = matched + unmatched + ambiguous + duplicates, in lines of the file; `matched` customers belong, `created` of
    them were made from the list, with the `consent` that it states.
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
    created: int
    consent: Mapping[str, Any] | None
    error: str | None
    created_by: str | None
    created_at: datetime


@dataclass(frozen=True)
class Reason:
    """Why so many lines are not matched; `kind` as in LINE_KINDS' values."""

    kind: str
    reason: str
    lines: int


async def create_audience(
    conn: AsyncConnection,
    *,
    name: str,
    filename: str,
    mapping: Any = None,
    consent: ListConsent | None = None,
    by: str | None = None,
) -> Audience:
    """A new list, whose file then comes by `append_chunk`; `enqueue_audience` starts the matching.

    `mapping`: as for imports, of identities alone; None: guessed from the header. With `consent`, people whom nobody
    knows become customers who gave it. Raises Invalid.
    """
    _check_mapping(mapping, consent)
    upload = {"kind": LIST_KIND, "filename": filename, "mapping": mapping, "created_by": by}
    import_id = await conn.scalar(insert(imports).values(upload).returning(imports.c.id))
    return await _create(conn, name, int(import_id or 0), consent, by)


async def create_from_upload(
    conn: AsyncConnection, import_id: int, *, name: str, mapping: Any, consent: ListConsent | None, by: str | None
) -> Audience:
    """The same over a file that is there already, a draft (customers/imports/pending.py). Raises NotFound, Invalid."""
    _check_mapping(mapping, consent)
    await take_pending(conn, import_id, kind=LIST_KIND, mapping=mapping)
    return await _create(conn, name, import_id, consent, by)


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


async def look_again(conn: AsyncConnection, audience_id: int) -> None:
    """Let a worker look again for those whom nobody knew. Raises NotFound, Conflict unless the list is done."""
    queued = update(audiences).where(audiences.c.id == audience_id, audiences.c.state == "done").values(state="queued")
    if (await conn.execute(queued)).rowcount == 0:
        found = await audience(conn, audience_id)
        raise Conflict(f"audience {audience_id} ({found.name}) is {found.state}")
    await defer(conn, match_audience_again, audience_id=audience_id)


async def rename_audience(conn: AsyncConnection, audience_id: int, name: str) -> Audience:
    """Raises NotFound, Invalid."""
    await audience(conn, audience_id)
    plain = await _name(conn, name, audience_id)
    renamed = update(audiences).where(audiences.c.id == audience_id).values(name=plain).returning(audiences)
    return audience_of((await conn.execute(renamed)).one())


async def delete_audience(conn: AsyncConnection, audience_id: int) -> None:
    """Forget a list with its lines; the customers stay. Raises NotFound, Conflict naming what uses it."""
    found = await audience(conn, audience_id)
    users = await audience_users(conn, audience_id)
    if users:
        raise Conflict(f"audience {audience_id} ({found.name}) is used by {', '.join(map(str, users))}")
    members = audience_members.c
    await note_changed(conn, AUDIENCES, select(members.customer_id).where(members.audience_id == audience_id))
    await conn.execute(delete(audience_members).where(members.audience_id == audience_id))
    await conn.execute(delete(imports).where(imports.c.id == found.import_id))
    try:
        async with conn.begin_nested():
            await conn.execute(delete(audiences).where(audiences.c.id == audience_id))
    except IntegrityError:
        raise Conflict(f"audience {audience_id} ({found.name}) is used by a campaign") from None


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


async def reasons(conn: AsyncConnection, import_id: int) -> list[Reason]:
    """Why lines are not matched, the commonest first; the lines that double ones repeat are left out."""
    kept = import_rejects.c
    grouped = select(kept.kind, kept.reason, func.count().label("lines")).where(
        kept.import_id == import_id, kept.kind.in_(("unmatched", "unreadable", "ambiguous"))
    )
    ordered = grouped.group_by(kept.kind, kept.reason).order_by(func.count().desc(), kept.reason).limit(20)
    return [Reason(*row) for row in await conn.execute(ordered)]


def _check_mapping(mapping: Any, consent: ListConsent | None) -> None:
    if mapping is not None:
        read_list_mapping(mapping, creating=consent is not None)


async def _create(
    conn: AsyncConnection, name: str, import_id: int, consent: ListConsent | None, by: str | None
) -> Audience:
    plain = await _name(conn, name, None)
    values = {"name": plain, "import_id": import_id, "created_by": by, "consent": consent and consent.to_json()}
    made = upsert(audiences).values(values).on_conflict_do_nothing(index_elements=["name"]).returning(audiences)
    row = (await conn.execute(made)).one_or_none()
    if row is None:  # somebody took the name since it was looked for
        raise _taken(plain)
    return audience_of(row)


async def _name(conn: AsyncConnection, name: str, own_id: int | None) -> str:
    plain = " ".join(name.replace("\0", "").split())
    if not plain:
        raise Invalid(Problem("name", "is missing"))
    if len(plain) > NAME_LIMIT:
        raise Invalid(Problem("name", f"has at most {NAME_LIMIT} characters"))
    taken = select(audiences.c.id).where(audiences.c.name == plain, audiences.c.id.is_distinct_from(own_id))
    if await conn.scalar(taken) is not None:
        raise _taken(plain)
    return plain


def _taken(name: str) -> Invalid:
    return Invalid(Problem("name", f"there is an audience {name!r} already"))

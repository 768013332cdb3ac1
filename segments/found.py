"""Whom the lines of a list name: lines in temporary tables, a few statements over all of them at once.

await open_tables(conn)                 # gone at the end of the transaction
await load(conn, lines)                 # as often as there are lines
await match(conn, audience_id)          # again after customers came
await outcomes(conn)                    # or: conclude by insert_members, insert_rejects, tally
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.changes import AUDIENCES, note_changed
from runtime.database import copy_rows
from segments.lines import Line


@dataclass(frozen=True)
class Tally:
    """rows = matched + unmatched + ambiguous + duplicates."""

    rows: int
    matched: int
    unmatched: int
    ambiguous: int
    duplicates: int


@dataclass(frozen=True)
class Outcome:
    """What became of a line. `kind`: matched, unmatched, unreadable, ambiguous or duplicate; `customer_id` where the
    line names one customer; `reason` where it is not matched."""

    line: int
    kind: str
    customer_id: int | None
    column: str | None
    reason: str | None


async def open_tables(conn: AsyncConnection) -> None:
    """The lines, whom they name, and (after `match`) who was found, until the transaction ends."""
    for statement in _TABLES:
        await conn.execute(text(statement))


async def load(conn: AsyncConnection, lines: Sequence[Line]) -> None:
    """Add lines of a file."""
    rows = [(line.number, _json(line.cells), line.fault, line.column, _json(line.record)) for line in lines]
    signs = [(line.number, kind, value) for line in lines for kind, value in line.signs]
    await copy_rows(conn, "audience_lines", ("line", "cells", "fault", "column", "record"), rows)
    await copy_rows(conn, "audience_signs", ("line", "kind", "value"), signs)


async def match(conn: AsyncConnection, audience_id: int | None = None) -> None:
    """Find the customers of all lines as things stand now. Who is in the list `audience_id` already is a duplicate."""
    for statement in _MATCHING:
        await conn.execute(text(statement), {"audience_id": audience_id} if ":audience_id" in statement else {})


async def outcomes(conn: AsyncConnection) -> list[Outcome]:
    """Line by line, for few of them."""
    return [Outcome(**row._mapping) for row in await conn.execute(text(_OUTCOMES + " ORDER BY line"))]


async def try_lines(conn: AsyncConnection, lines: Sequence[Line]) -> list[Outcome]:
    """What would become of these lines alone. Roll the transaction back afterwards."""
    await open_tables(conn)
    await load(conn, lines)
    await match(conn)
    return await outcomes(conn)


async def tally(conn: AsyncConnection) -> Tally:
    return Tally(**(await conn.execute(text(_TALLY))).one()._mapping)


async def insert_members(conn: AsyncConnection, audience_id: int) -> None:
    """Whoever was matched joins the list."""
    await conn.execute(text(_MEMBERS), {"audience_id": audience_id})
    found = table("audience_found", column("customer_id", BigInteger), column("line"), column("first_line"))
    joined = select(found.c.customer_id).where(found.c.line == found.c.first_line)
    await note_changed(conn, AUDIENCES, joined)


async def insert_rejects(conn: AsyncConnection, import_id: int) -> None:
    """Keep every line that is not matched, with its reason."""
    await conn.execute(text(_REJECTS), {"import_id": import_id})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).replace("\\u0000", "")


_TABLES = (
    'CREATE TEMP TABLE audience_lines (line bigint, cells jsonb, fault text, "column" text, record jsonb,'
    " refusal text) ON COMMIT DROP",
    "CREATE TEMP TABLE audience_signs (line bigint, kind text, value text) ON COMMIT DROP",
    "CREATE TEMP TABLE audience_found (line bigint, customer_id bigint, people bigint, first_line bigint)"
    " ON COMMIT DROP",
)

# An identity says who someone is; an address (a phone may be shared) only where no identity of the line is known.
_MATCHING = (
    "TRUNCATE audience_found",
    "ANALYZE audience_lines",
    "ANALYZE audience_signs",
    """
    INSERT INTO audience_found
    WITH held AS (
        SELECT s.line, i.customer_id, true AS sure
        FROM audience_signs s JOIN identities i ON i.kind = s.kind AND i.value = s.value
        UNION ALL
        SELECT s.line, c.id, true
        FROM audience_signs s JOIN customers c ON c.id = CASE WHEN s.kind = 'id' THEN CAST(s.value AS bigint) END
        UNION ALL
        SELECT s.line, a.customer_id, false
        FROM audience_signs s JOIN contact_addresses a ON a.kind = s.kind AND a.value = s.value
    ), known AS (
        SELECT h.line, coalesce(c.merged_into, c.id) AS customer_id, h.sure,
            bool_or(h.sure) OVER (PARTITION BY h.line) AS any_sure
        FROM held h JOIN customers c ON c.id = h.customer_id
    ), one AS (
        SELECT line, min(customer_id) AS customer_id, count(DISTINCT customer_id) AS people
        FROM known WHERE sure OR NOT any_sure GROUP BY line
    )
    SELECT one.line, one.customer_id, one.people,
        CASE WHEN m.customer_id IS NOT NULL THEN 0
            WHEN people = 1 THEN min(line) OVER (PARTITION BY people = 1, one.customer_id) END
    FROM one LEFT JOIN audience_members m
        ON m.audience_id = CAST(:audience_id AS bigint) AND m.customer_id = one.customer_id AND one.people = 1
    """,
    "ANALYZE audience_found",
)

_OUTCOMES = """
    SELECT l.line,
        CASE
            WHEN l.fault IS NOT NULL THEN 'unreadable'
            WHEN f.line IS NULL THEN 'unmatched'
            WHEN f.people > 1 THEN 'ambiguous'
            WHEN f.line <> f.first_line THEN 'duplicate'
            ELSE 'matched'
        END AS kind,
        CASE WHEN f.people = 1 THEN f.customer_id END AS customer_id,
        l."column",
        CASE
            WHEN l.fault IS NOT NULL THEN l.fault
            WHEN f.line IS NULL THEN coalesce(l.refusal, 'no customer is known by this')
            WHEN f.people > 1 THEN f.people || ' customers are known by this'
            WHEN f.first_line = 0 THEN 'this customer is on the list already'
            WHEN f.line <> f.first_line THEN 'the same customer as in line ' || f.first_line
        END AS reason
    FROM audience_lines l LEFT JOIN audience_found f USING (line)
"""

_TALLY = f"""
    SELECT count(*) AS rows,
        count(*) FILTER (WHERE kind = 'matched') AS matched,
        count(*) FILTER (WHERE kind IN ('unmatched', 'unreadable')) AS unmatched,
        count(*) FILTER (WHERE kind = 'ambiguous') AS ambiguous,
        count(*) FILTER (WHERE kind = 'duplicate') AS duplicates
    FROM ({_OUTCOMES}) told
"""  # noqa: S608 -- put together from this module's own words

_MEMBERS = """
    INSERT INTO audience_members (customer_id, audience_id)
    SELECT customer_id, :audience_id FROM audience_found WHERE line = first_line
    ON CONFLICT DO NOTHING
"""

_REJECTS = f"""
    INSERT INTO import_rejects (import_id, line, "column", kind, reason, cells)
    SELECT :import_id, told.line, told."column", told.kind, told.reason, l.cells
    FROM ({_OUTCOMES}) told JOIN audience_lines l USING (line)
    WHERE told.kind <> 'matched'
    ORDER BY told.line
"""  # noqa: S608

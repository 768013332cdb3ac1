"""The job that matches an uploaded list to customers: lines into a temporary table, then a few statements over all.

All of it is one transaction, so a job that was killed leaves nothing and may run again.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.imports.cells import open_grid
from customers.imports.guess import guess_mapping
from customers.imports.mapping import FileMapping, fit, read_mapping
from customers.imports.source import Source
from customers.imports.units import Unit, read_units
from customers.imports.uploads import download_upload
from customers.models import import_chunks, imports
from customers.person import read_person
from customers.values import Context
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.database import copy_rows
from runtime.errors import Conflict, HearthError, Invalid, Problem, Unavailable
from runtime.house import House
from runtime.jobs import check_claim, defer, job
from segments.models import audiences

IMPORT_KIND = "audience"
_BATCH = 5_000
_SIGNS = ("id", "external_id", "email", "phone")


def read_audience_mapping(given: Any) -> FileMapping:
    """A mapping of identities alone (`id`, `external_id`, `email`, `phone`, `identities.<kind>`). Raises Invalid."""
    if isinstance(given, dict) and given.get("kind") not in (None, IMPORT_KIND):
        raise Invalid(Problem("kind", f"is {given['kind']!r}, but this is an audience"))
    plain = {**given, "kind": "customers"} if isinstance(given, dict) else given
    mapping = read_mapping(plain, "customers")
    problems = [
        Problem(f"columns.{target}", f"an audience takes only {', '.join(_SIGNS)} and identities.<kind>")
        for target in mapping.columns
        if not _is_sign(target)
    ]
    if mapping.group_by is not None:
        problems.append(Problem("group_by", "an audience has one person a line"))
    if problems:
        raise Invalid(problems)
    return mapping


@job("segments.match_audience", retry=Backoff(5, timedelta(seconds=5)))
async def match_audience(house: House, *, audience_id: int) -> None:
    """Match the uploaded file. What is wrong with it ends as state `failed`."""
    found = await _begin(house, audience_id)
    if found is None:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="hearth-audience-") as folder:
            source = Source(Path(folder) / "file", found["filename"])
            await download_upload(house, found["import_id"], source.path)
            matched = await _match(house, audience_id, found, source)
    except (Conflict, Unavailable):  # another worker has it, or something is away: it will be tried again
        raise
    except HearthError as error:
        await _fail(house, audience_id, found["import_id"], str(error))
        return
    if not matched:
        async with house.database.begin() as conn:
            await check_claim(conn)
            await defer(conn, match_audience, audience_id=audience_id)


async def _begin(house: House, audience_id: int) -> RowMapping | None:
    """The list as it was asked for, now running; None if there is nothing left to do."""
    asked = select(audiences.c.state, audiences.c.import_id, imports.c.filename, imports.c.mapping)
    joined = asked.join_from(audiences, imports, imports.c.id == audiences.c.import_id)
    async with house.database.begin() as conn:
        found = (await conn.execute(joined.where(audiences.c.id == audience_id))).mappings().one_or_none()
        if found is None or found["state"] in ("done", "failed"):
            return None
        await check_claim(conn)
        await conn.execute(update(audiences).where(audiences.c.id == audience_id).values(state="running"))
        began = update(imports).where(imports.c.id == found["import_id"])
        await conn.execute(began.values(state="running", started_at=utc_now()))
    return found


async def _match(house: House, audience_id: int, found: RowMapping, source: Source) -> bool:
    """One transaction over the whole file; False if it was left because the process is to stop."""
    mapping = None if found["mapping"] is None else read_audience_mapping(found["mapping"])
    reader = _Reader(source, mapping, Context(house.settings.zone, house.settings.country))
    try:
        header = await asyncio.to_thread(reader.open)
        async with house.database.begin() as conn:
            for statement in _TABLES:
                await conn.execute(text(statement))
            while lines := await asyncio.to_thread(reader.next):
                if house.stopping.is_set():
                    await conn.rollback()
                    return False
                await _load(conn, lines)
            await check_claim(conn)
            await _conclude(conn, audience_id, found["import_id"], header)
    finally:
        await asyncio.to_thread(reader.close)
    return True


class _Reader:
    """The blocking half, for a thread: from bytes to lines with the identities that they give."""

    def __init__(self, source: Source, mapping: FileMapping | None, context: Context) -> None:
        self._source = source
        self._mapping = mapping
        self._context = context
        self._stack = ExitStack()
        self._units: Iterator[Unit] = iter(())

    def open(self) -> list[str]:
        """The header. Raises Invalid where no column says who a customer is."""
        mapping = self._mapping
        encoding, delimiter = (mapping.encoding, mapping.delimiter) if mapping else (None, None)
        grid = self._stack.enter_context(open_grid(self._source, encoding=encoding, delimiter=delimiter))
        plan = fit(mapping or _guessed(grid.header), grid.header, self._context)
        units = read_units(grid, plan)
        self._stack.callback(units.close)
        self._units = units
        return grid.header

    def next(self) -> list[tuple[Unit, list[tuple[str, str]], str | None]]:
        """Some thousand lines more, each with its identities, or why it has none."""
        return [(unit, *self._signs(unit)) for unit in islice(self._units, _BATCH)]

    def close(self) -> None:
        self._stack.close()

    def _signs(self, unit: Unit) -> tuple[list[tuple[str, str]], str | None]:
        if unit.record is None:
            return [], unit.refusals[0].reason
        person, problems = read_person(unit.record, {}, self._context)
        phone = [("phone", person.phone)] if person.phone else []
        return [*person.signs, *phone], str(problems[0]) if problems else None


def _guessed(header: Sequence[str]) -> FileMapping:
    guessed = guess_mapping("customers", header)
    return replace(guessed, columns={target: entry for target, entry in guessed.columns.items() if _is_sign(target)})


def _is_sign(target: str) -> bool:
    return target in _SIGNS or target.startswith("identities.")


async def _load(conn: AsyncConnection, lines: Sequence[tuple[Unit, list[tuple[str, str]], str | None]]) -> None:
    rows = []
    signs = []
    for unit, found, fault in lines:
        line = unit.lines[0]
        cells = json.dumps(list(line.cells), ensure_ascii=False).replace("\\u0000", "")
        rows.append((line.line, cells, fault))
        signs += [(line.line, kind, value) for kind, value in found] if fault is None else []
    await copy_rows(conn, "audience_lines", ("line", "cells", "fault"), rows)
    await copy_rows(conn, "audience_signs", ("line", "kind", "value"), signs)


async def _conclude(conn: AsyncConnection, audience_id: int, import_id: int, header: list[str]) -> None:
    """Match all lines at once; write members, counts and the lines that are not members."""
    for statement in _MATCHING:
        await conn.execute(text(statement))
    ids = {"audience_id": audience_id, "import_id": import_id}
    await conn.execute(text(_MEMBERS), ids)
    await conn.execute(text(_REJECTS), ids)
    counts = dict((await conn.execute(text(_COUNTS))).mappings().one())
    await conn.execute(update(audiences).where(audiences.c.id == audience_id).values(**counts, state="done"))
    account = {"rows": counts["rows"], "accepted": counts["matched"], "rejected": counts["rows"] - counts["matched"]}
    done = update(imports).where(imports.c.id == import_id)
    await conn.execute(done.values(**account, header=header, state="done", finished_at=utc_now()))
    await conn.execute(delete(import_chunks).where(import_chunks.c.import_id == import_id))


async def _fail(house: House, audience_id: int, import_id: int, error: str) -> None:
    async with house.database.begin() as conn:
        await check_claim(conn)
        ended = {"state": "failed", "error": error}
        await conn.execute(update(audiences).where(audiences.c.id == audience_id).values(**ended))
        await conn.execute(update(imports).where(imports.c.id == import_id).values(**ended, finished_at=utc_now()))
        await conn.execute(delete(import_chunks).where(import_chunks.c.import_id == import_id))


_TABLES = (
    "CREATE TEMP TABLE audience_lines (line bigint, cells jsonb, fault text) ON COMMIT DROP",
    "CREATE TEMP TABLE audience_signs (line bigint, kind text, value text) ON COMMIT DROP",
)

# An identity says who someone is; an address (a phone may be shared) only where no identity of the line is known.
_MATCHING = (
    "ANALYZE audience_lines",
    "ANALYZE audience_signs",
    """
    CREATE TEMP TABLE audience_found ON COMMIT DROP AS
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
    SELECT line, customer_id, people,
        CASE WHEN people = 1 THEN min(line) OVER (PARTITION BY people = 1, customer_id) END AS first_line
    FROM one
    """,
    "CREATE INDEX ON audience_found (line)",
    "ANALYZE audience_found",
)

_MEMBERS = """
    INSERT INTO audience_members (customer_id, audience_id)
    SELECT customer_id, :audience_id FROM audience_found WHERE line = first_line
    ON CONFLICT DO NOTHING
"""

_REJECTS = """
    INSERT INTO import_rejects (import_id, line, reason, cells)
    SELECT :import_id, l.line,
        CASE
            WHEN l.fault IS NOT NULL THEN l.fault
            WHEN f.line IS NULL THEN 'no customer is known by this'
            WHEN f.people > 1 THEN f.people || ' customers are known by this'
            ELSE 'the same customer as in line ' || f.first_line
        END,
        l.cells
    FROM audience_lines l LEFT JOIN audience_found f USING (line)
    WHERE f.line IS DISTINCT FROM f.first_line OR f.line IS NULL
    ORDER BY l.line
"""

_COUNTS = """
    SELECT count(*) AS rows,
        count(*) FILTER (WHERE f.line = f.first_line) AS matched,
        count(*) FILTER (WHERE f.line IS NULL) AS unmatched,
        count(*) FILTER (WHERE f.people > 1) AS ambiguous,
        count(*) FILTER (WHERE f.people = 1 AND f.line <> f.first_line) AS duplicates
    FROM audience_lines l LEFT JOIN audience_found f USING (line)
"""

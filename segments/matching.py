"""The jobs of uploaded lists: match a file's lines to customers; look again for those whom nobody knew.

A list is written in one transaction, so a job that was killed leaves nothing and may run again; only people whom it
made customers stay (and are found the next time).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.imports.cells import Row
from customers.imports.source import Source
from customers.imports.uploads import download_upload
from customers.models import import_chunks, import_rejects, imports
from customers.values import Context
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Conflict, HearthError, Unavailable
from runtime.house import House
from runtime.jobs import check_claim, defer, job
from runtime.scratch import scratch
from runtime.text import printable
from segments.found import insert_members, insert_rejects, load, match, open_tables, tally
from segments.lines import Line, LineReader, plan_of, read_lines, read_list_mapping
from segments.models import audiences
from segments.strangers import create_strangers, list_consent_of

AGAIN = ("unmatched", "ambiguous")
_PAGE = 5_000
_TOLD_EVERY = 1.0  # seconds
_REASON_LIMIT = 500

Lines = AsyncGenerator[list[Line], None]


async def _give_up(house: House, error: Exception, *, audience_id: int) -> None:
    """The job is not tried again: its list must not look as if it were."""
    reason = f"a fault in Hearth, not in the file; its log has more: {type(error).__name__}: {error}"
    async with house.database.connect() as conn:
        import_id = await conn.scalar(select(audiences.c.import_id).where(audiences.c.id == audience_id))
    await _fail(house, audience_id, int(import_id or 0), printable(reason[:_REASON_LIMIT]))


@job("segments.match_audience", retry=Backoff(5, timedelta(seconds=5)), given_up=_give_up)
async def match_audience(house: House, *, audience_id: int) -> None:
    """Match the uploaded file. What is wrong with it ends as state `failed`."""
    found = await _begin(house, audience_id)
    if found is None:
        return
    with scratch("audience") as folder:
        source = Source(folder / "file", found["filename"])
        work = _Work(house, audience_id, found)

        async def conclude(conn: AsyncConnection) -> None:
            await _write_list(conn, work)

        try:
            await download_upload(house, found["import_id"], source.path)
            matched = await _match(work, _of_file(work, source), conclude)
        except (Conflict, Unavailable):  # another worker has it, or something is away: it will be tried again
            raise
        except HearthError as error:
            await _fail(house, audience_id, found["import_id"], str(error))
            return
    if not matched:
        async with house.database.begin() as conn:
            await check_claim(conn)
            await defer(conn, match_audience, audience_id=audience_id)


async def _leave_as_it_was(house: House, error: Exception, *, audience_id: int) -> None:
    """The list stands as it did before somebody asked to look again."""
    async with house.database.begin() as conn:
        await check_claim(conn)
        own = audiences.c.id == audience_id
        await conn.execute(update(audiences).where(own).values(state="done"))
        its_import = select(audiences.c.import_id).where(own).scalar_subquery()
        await conn.execute(update(imports).where(imports.c.id == its_import).values(state="done"))


@job("segments.match_audience_again", retry=Backoff(5, timedelta(seconds=5)), given_up=_leave_as_it_was)
async def match_audience_again(house: House, *, audience_id: int) -> None:
    """Look again for the people of lines that named nobody, or several: customers came and were merged since."""
    found = await _begin(house, audience_id)
    if found is None:
        return
    work = _Work(house, audience_id, found)

    async def conclude(conn: AsyncConnection) -> None:
        await _add_to_list(conn, work)

    if not await _match(work, _of_rejects(work), conclude):
        async with house.database.begin() as conn:
            await check_claim(conn)
            await defer(conn, match_audience_again, audience_id=audience_id)


class _Work:
    """A list that is being matched, as it was asked for."""

    def __init__(self, house: House, audience_id: int, found: RowMapping) -> None:
        self.house = house
        self.audience_id = audience_id
        self.import_id: int = found["import_id"]
        self.consent = list_consent_of(found["consent"])
        given = found["mapping"]
        self.mapping = None if given is None else read_list_mapping(given, creating=self.creating)
        self.header: list[str] = found["header"] or []
        self.context = Context(house.settings.zone, house.settings.country)

    @property
    def creating(self) -> bool:
        return self.consent is not None


async def _begin(house: House, audience_id: int) -> RowMapping | None:
    """The list as it was asked for, now running; None if there is nothing left to do."""
    asked = select(
        audiences.c.state,
        audiences.c.import_id,
        audiences.c.consent,
        imports.c.filename,
        imports.c.mapping,
        imports.c.header,
    ).join_from(audiences, imports, imports.c.id == audiences.c.import_id)
    async with house.database.begin() as conn:
        found = (await conn.execute(asked.where(audiences.c.id == audience_id))).mappings().one_or_none()
        if found is None or found["state"] in ("done", "failed"):
            return None
        await check_claim(conn)
        await conn.execute(update(audiences).where(audiences.c.id == audience_id).values(state="running"))
        began = update(imports).where(imports.c.id == found["import_id"])
        await conn.execute(began.values(state="running", started_at=utc_now()))
    return found


async def _match(work: _Work, lines: Lines, conclude: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
    """One transaction over all lines; False if it was left because the process is to stop. A list that was deleted
    meanwhile stays so."""
    stopping, own = work.house.stopping, audiences.c.id == work.audience_id
    async with work.house.database.begin() as conn:
        await open_tables(conn)
        async with aclosing(lines):
            async for batch in lines:
                if stopping.is_set():
                    break
                await load(conn, batch)
        if not stopping.is_set():
            await match(conn, work.audience_id)
        if work.consent is not None and not stopping.is_set():
            await create_strangers(work.house, conn, work.audience_id, work.consent)
            await match(conn, work.audience_id)
        if stopping.is_set():
            await conn.rollback()
            return False
        await check_claim(conn)
        if (await conn.execute(select(audiences.c.id).where(own).with_for_update())).first() is not None:
            await conclude(conn)
    return True


async def _of_file(work: _Work, source: Source) -> Lines:
    """The lines of the file by the thousand; meanwhile, word of how far the reading is."""
    reader = LineReader(source, work.mapping, work.context, creating=work.creating)
    told, count = time.monotonic(), 0
    try:
        work.header = await asyncio.to_thread(reader.open)
        while lines := await asyncio.to_thread(reader.next):
            yield lines
            count += len(lines)
            if time.monotonic() - told > _TOLD_EVERY:
                told = time.monotonic()
                await _tell(work, rows=count, bytes_read=reader.place)
    finally:
        await asyncio.to_thread(reader.close)
    await _tell(work, rows=count, bytes_read=imports.c.bytes_total)


async def _of_rejects(work: _Work) -> Lines:
    """The kept lines that named nobody, or several."""
    mapping = None if work.mapping is None else work.mapping.file
    plan = plan_of(mapping, work.header, work.context, creating=work.creating)
    kept = import_rejects.c
    waiting = select(kept.id, kept.line, kept.cells).where(kept.import_id == work.import_id, kept.kind.in_(AGAIN))
    last = 0
    while True:
        async with work.house.database.connect() as conn:
            page = (await conn.execute(waiting.where(kept.id > last).order_by(kept.id).limit(_PAGE))).all()
        if not page:
            return
        rows = [Row(row.line, row.cells) for row in page]
        yield await asyncio.to_thread(lambda: list(read_lines(rows, work.header, plan, work.context)))  # noqa: B023
        last = page[-1].id


async def _tell(work: _Work, **values: Any) -> None:
    async with work.house.database.begin() as conn:
        await conn.execute(update(imports).where(imports.c.id == work.import_id).values(values))


async def _write_list(conn: AsyncConnection, work: _Work) -> None:
    """Members, counts and the lines that are not members; the file is not needed any more."""
    counted = await tally(conn)
    await insert_members(conn, work.audience_id)
    await insert_rejects(conn, work.import_id)
    await _done(conn, work, counted.rows, asdict(counted))
    await conn.execute(delete(import_chunks).where(import_chunks.c.import_id == work.import_id))


async def _add_to_list(conn: AsyncConnection, work: _Work) -> None:
    """Who was found now joins; what is said of their lines is said anew."""
    counted = await tally(conn)
    kept = import_rejects.c
    waiting = (kept.import_id == work.import_id, kept.kind.in_(AGAIN))
    before: dict[str, int] = {
        row.kind: row.n
        for row in await conn.execute(select(kept.kind, func.count().label("n")).where(*waiting).group_by(kept.kind))
    }
    await conn.execute(delete(import_rejects).where(*waiting))
    await insert_members(conn, work.audience_id)
    await insert_rejects(conn, work.import_id)
    own = audiences.c
    changed = {
        "matched": own.matched + counted.matched,
        "duplicates": own.duplicates + counted.duplicates,
        "unmatched": own.unmatched + counted.unmatched - before.get("unmatched", 0),
        "ambiguous": own.ambiguous + counted.ambiguous - before.get("ambiguous", 0),
    }
    await _done(conn, work, None, changed)


async def _done(conn: AsyncConnection, work: _Work, rows: int | None, counts: dict[str, Any]) -> None:
    await conn.execute(update(audiences).where(audiences.c.id == work.audience_id).values(**counts, state="done"))
    ended: dict[str, Any] = {"state": "done", "finished_at": utc_now(), "header": work.header}
    if rows is not None:
        ended |= {"rows": rows, "accepted": counts["matched"], "rejected": rows - counts["matched"]}
    await conn.execute(update(imports).where(imports.c.id == work.import_id).values(ended))


async def _fail(house: House, audience_id: int, import_id: int, error: str) -> None:
    async with house.database.begin() as conn:
        await check_claim(conn)
        ended = {"state": "failed", "error": error}
        await conn.execute(update(audiences).where(audiences.c.id == audience_id).values(**ended))
        await conn.execute(update(imports).where(imports.c.id == import_id).values(**ended, finished_at=utc_now()))
        await conn.execute(delete(import_chunks).where(import_chunks.c.import_id == import_id))

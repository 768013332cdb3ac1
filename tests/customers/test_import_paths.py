"""Lines that are drafted column by column, and the same lines taken record by record, end as the same customers."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from psycopg.errors import DeadlockDetected
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.erasing import erase
from customers.imports import batches, run
from customers.imports.mapping import read_mapping
from customers.imports.run import Account, Job, Progress, import_file
from customers.imports.source import Source
from customers.merging import merge
from customers.models import (
    activity,
    attribute_definitions,
    changed_customers,
    communities,
    consents,
    contact_addresses,
    customers,
    dealers,
    erased,
    households,
    identities,
    standing_consents,
)
from customers.upsert import upsert
from runtime.database import Database
from runtime.settings import Settings
from tests.customers.door import NOW

MAPPING = {
    "columns": {
        "external_id": "id",
        "name": "name",
        "email": {"column": "email", "transform": "strip"},
        "phone": "phone",
        "gender": "gender",
        "city": "city",
        "community": "community",
        "address": "address",
        "birthday": "birthday",
        "household_size": {"column": "size", "transform": "integer"},
        "platform": {"value": "Shop\\1"},
        "language": {"template": "{city}-{community}"},
        "tags": "tags",
        "identities.wechat": "wechat",
        "attributes.level": "level",
        "attributes.points": "points",
        "consents.email": "consent",
        "consents.sms": {"column": "consent", "transform": {"map": {"yes": True, "no": False}, "else": None}},
    }
}
HEADER = ["id", "name", "email", "phone", "gender", "city", "community", "address", "birthday", "size", "tags",
          "wechat", "level", "points", "consent"]  # fmt: skip
PHONES = ("13800138000", "138 0013 8001", "+86-138-0013-8002", "029-88886666", "12", "")
CELLS = {
    "id": ("", "", "A", "B", "C", "D", "E"),
    "name": ("王伟", "Ann \\ Lee", 'say "hi"', "ＡＢＣ", "tab\there", ""),
    "email": ("", "", "a@example.com", "B@example.com", "c@example.com", "d@"),
    "phone": PHONES,
    "gender": ("男", "F", "male", "X", ""),
    "city": ("西安", "Xi'an", ""),
    "community": ("曲江", "K1", ""),
    "address": ("1 号楼", "2-1-301", ""),
    "birthday": ("1980-02-03", "1980年2月3日", "yesterday", ""),
    "size": ("3", "4.0", "x", ""),
    "tags": ("vip", "vip,老客户", '"{},\\', ",", ""),
    "wechat": ("", "", "w1", "w2"),
    "level": ("金卡", "GOLD", "1", "2020-01-02", ""),
    "points": ("1", "2.50", "many", ""),
    "consent": ("yes", "no", "maybe", ""),
}
TABLES = (customers, activity, identities, contact_addresses, consents, standing_consents, households, communities,
          dealers, attribute_definitions, erased, changed_customers)  # fmt: skip

EXAMPLES = 1000 if os.environ.get("HEARTH_SOAK") else 40

rows = st.lists(st.tuples(*(st.sampled_from(CELLS[name]) for name in HEADER)), min_size=1, max_size=12)


def _line_of(who: str) -> st.SearchStrategy[tuple[str, ...]]:
    """A line that names nobody but `who`, and can mostly be read."""
    own = {
        "id": (who, who, ""),
        "email": (f"{who}@example.com", f"{who}2@example.com".lower(), ""),
        "wechat": (f"w{who}", f"v{who}", ""),
        "address": ("", "", "1 号楼"),
    }
    cells = {name: own.get(name, tuple(cell for cell in CELLS[name] if cell not in FAULTY)) for name in HEADER}
    return st.tuples(*(st.sampled_from(cells[name]) for name in HEADER))


FAULTY = ("12", "X", "yesterday", "x", ",", "many", "maybe")
apart = st.lists(st.sampled_from("ABCDEFG"), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(*map(_line_of, names))
)
"""Lines each of which means somebody else."""


_PLAIN = tuple(CELLS[name][0] for name in HEADER)
_NAMED = ("A", *_PLAIN[1:])


@example(before=[_PLAIN, _NAMED], lines=[_PLAIN], merged=False, gone=True)  # a phone of one erased and one who is there
@given(before=rows, lines=rows, merged=st.booleans(), gone=st.booleans())
@hypothesis_settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_both_ways_end_alike(paths: Paths, before: Any, lines: Any, merged: bool, gone: bool) -> None:
    drafted = paths.run(before, lines, merged=merged, gone=gone, drafting=True)
    careful = paths.run(before, lines, merged=merged, gone=gone, drafting=False)
    for ours, theirs in zip(drafted, careful, strict=True):
        assert ours == theirs


@given(before=st.one_of(rows, apart), lines=apart, merged=st.booleans(), odd=st.booleans())
@hypothesis_settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_known_customers_change_alike(paths: Paths, before: Any, lines: Any, merged: bool, odd: bool) -> None:
    drafted = paths.run(before, lines, merged=merged, odd=odd, drafting=True)
    careful = paths.run(before, lines, merged=merged, odd=odd, drafting=False)
    for ours, theirs in zip(drafted, careful, strict=True):
        assert ours == theirs


async def test_known_customers_are_changed_set_by_set(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    async def counted(conn: Any, kind: str, records: Any, **rest: Any) -> Any:
        taken.extend(records)
        return await upsert(conn, kind, records, **rest)

    monkeypatch.setattr(run, "upsert", counted)
    before = [("A", *_PLAIN[1:]), ("B", *_PLAIN[1:])]
    lines = [(name, "New", f"{name}@example.com", "13900139000", *_PLAIN[4:7], "", *_PLAIN[8:]) for name in "AB"]
    (_, _, done, *_) = await paths.both([[*line[:7], "", *line[8:]] for line in before], lines, drafting=True)
    assert (done.updated, done.created, done.rejected) == (2, 0, 0)
    assert len(taken) == len(before)  # which were to go the careful way


@given(
    lines=st.lists(st.one_of(*map(_line_of, "ABCDEFG"), rows.map(lambda some: some[0])), min_size=2, max_size=8),
    most=st.integers(1, 4),
    breaks=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=4),
)
@hypothesis_settings(
    max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_an_import_that_is_broken_off_anywhere_ends_alike(paths: Paths, lines: Any, most: int, breaks: Any) -> None:
    """A batch counts or does not; what another writer keeps from committing is done again."""
    whole = paths.run([], lines, drafting=True, most=most)
    broken = paths.run([], lines, drafting=True, most=most, breaks=breaks)
    for ours, theirs in zip(broken, whole, strict=True):
        assert ours == theirs


class Paths:
    """Imports the same lines into an empty database by either way."""

    def __init__(self, settings: Settings, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._settings = settings
        self._path = folder / "people.csv"
        self._patch = patch

    def run(self, before: Any, lines: Any, *, drafting: bool, **more: Any) -> Any:
        return asyncio.run(self.both(before, lines, drafting=drafting, **more))

    async def both(
        self, before: Any, lines: Any, *, drafting: bool, most: int = 10_000, breaks: Any = (), **disturbed: bool
    ) -> Any:
        database = Database(str(self._settings.database_url), pool_size=2)
        try:
            async with database.begin() as conn:
                for table in TABLES:
                    await conn.execute(delete(table))
                await conn.execute(text("ALTER SEQUENCE customers_id_seq RESTART"))
            first = await self._take(database, before, drafting=False)
            async with database.begin() as conn:
                await _disturb(conn, **disturbed)
            second = await self._take(database, lines, drafting=drafting, most=most, breaks=breaks)
            async with database.connect() as conn:
                return [*first, *second, *(await _stored(conn)).items()]
        finally:
            await database.close()

    async def _take(
        self, database: Database, lines: Any, *, drafting: bool, most: int = 10_000, breaks: Any = ()
    ) -> Any:
        written = io.StringIO()
        csv.writer(written).writerows([HEADER, *lines])
        self._path.write_text(written.getvalue(), encoding="utf-8", newline="")
        told = Told(breaks)
        job = Job(Source(self._path, "people.csv"), "customers", read_mapping(MAPPING, "customers"))
        with self._patch.context() as patch:
            if not drafting:
                patch.setattr(batches, "shape_of", lambda _plan: None)
                patch.setattr(run, "shape_of", lambda _plan: None)
            patch.setattr(batches, "_FIRST", min(most, batches._FIRST))
            patch.setattr(batches, "_MOST_DRAFTED", most)
            while True:
                try:
                    how = {"settings": self._settings, "now": NOW, "start": told.progress}
                    return await import_file(database, job, told, **how), told.refusals
                except Break:
                    continue


class Break(Exception):
    """What ends an import in the middle of a batch."""


class Told(Account):
    """`breaks`: after how many batches more one is broken off, and whether another transaction is to blame."""

    def __init__(self, breaks: Any = ()) -> None:
        self.refusals: list[Any] = []
        self.progress: Progress | None = None
        self._breaks = list(breaks)

    async def record(self, conn: AsyncConnection, progress: Progress, refusals: Any) -> None:
        if not self._breaks:
            return
        batches_left, by_another = self._breaks.pop(0)
        if batches_left:
            self._breaks.insert(0, (batches_left - 1, by_another))
        elif by_another:
            raise DBAPIError("", {}, DeadlockDetected("another one was first"))
        else:
            raise Break

    async def committed(self, progress: Progress, refusals: Any) -> None:
        self.progress = progress
        for each in refusals:
            reason = re.sub(r"customer \d+", "customer", each.reason)  # numbers are not given back by what is undone
            self.refusals.append((each.line, each.column, reason, tuple(each.cells)))


@pytest.fixture
def paths(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    return Paths(settings, tmp_path, monkeypatch)


async def _disturb(conn: AsyncConnection, *, merged: bool = False, gone: bool = False, odd: bool = False) -> None:
    ids = list((await conn.execute(select(customers.c.id).order_by(customers.c.id))).scalars())
    if gone and ids:
        await erase(conn, ids.pop())
    if merged and len(ids) > 1:
        await merge(conn, ids[0], ids[1], now=NOW)
    if odd:  # nobody's first address, words of tomorrow, words taken back
        await conn.execute(text("UPDATE contact_addresses SET is_primary = false WHERE customer_id % 2 = 0"))
        await conn.execute(text("UPDATE standing_consents SET at = at + interval '1 day' WHERE channel = 'sms'"))
        await conn.execute(text("UPDATE standing_consents SET granted = NOT granted WHERE customer_id % 3 = 0"))


async def _stored(conn: AsyncConnection) -> dict[str, Any]:
    """All rows, customers by what they are known by instead of by number."""
    return {name: sorted(map(repr, await conn.execute(text(query)))) for name, query in STORED.items()}


NAMED = """
    (SELECT string_agg(kind || '=' || value, ' ' ORDER BY kind, value) FROM contact_addresses a
     WHERE a.customer_id = {id}) || '; ' ||
    (SELECT string_agg(kind || '=' || value, ' ' ORDER BY kind, value) FROM identities i WHERE i.customer_id = {id})
"""
STORED = {
    "customers": f"""
        SELECT to_jsonb(c) - 'id' - 'household_id' - 'merged_into' AS row, h.key, {NAMED.format(id="c.id")}
        FROM customers c LEFT JOIN households h ON h.id = c.household_id
    """,
    "contact_addresses": f"""
        SELECT t.kind, t.value, is_primary, {NAMED.format(id="t.customer_id")} FROM contact_addresses t
    """,
    "identities": f"SELECT t.kind, t.value, {NAMED.format(id='t.customer_id')} FROM identities t",
    "activity": f"SELECT to_jsonb(t) - 'customer_id', {NAMED.format(id='t.customer_id')} FROM activity t",
    "consents": f"SELECT to_jsonb(t) - 'customer_id' - 'id', {NAMED.format(id='t.customer_id')} FROM consents t",
    "standing": f"SELECT to_jsonb(t) - 'customer_id', {NAMED.format(id='t.customer_id')} FROM standing_consents t",
    "households": "SELECT key, community, address FROM households",
    "codes": "SELECT code FROM communities",
    "attributes": "SELECT key, kind FROM attribute_definitions",
    "changed": f"""
        SELECT CASE WHEN bool_or(source = '*') THEN '*' ELSE string_agg(DISTINCT source, ' ') END, name
        FROM (
            SELECT source, coalesce({NAMED.format(id='changed.id')}, 'gone') AS name
            FROM changed_customers, unnest(sources) AS source, unnest(ids) AS changed(id)
        ) each GROUP BY name
    """,
}  # fmt: skip

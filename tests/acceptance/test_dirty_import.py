"""A dirty file, its import killed halfway: every line is accounted for, and taking it in again changes nothing.

Some ten thousand lines in an ordinary run, 1,000,000 with HEARTH_SOAK=1 (`make soak`), there in each encoding.
"""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from customers.imports.uploads import append_chunk, create_import, enqueue_import, get_import, list_rejects
from runtime.database import Database
from tests.acceptance.hall import Hall
from tests.acceptance.memory import Peaks
from tests.waiting import until

SOAK = bool(os.environ.get("HEARTH_SOAK"))
ROWS = 1_000_000 if SOAK else 12_000
KILLS = 5 if SOAK else 2
DEATHS = 3 if SOAK else 1  # of a worker; each waits until the others take it for dead
SECONDS = 3600.0 if SOAK else 180.0
MEMORY_MB = 300
GIANT = 10_000_000
HEADER = "客户编号,姓名,手机,邮箱,城市"
ENCODINGS = ("utf-8-sig", "utf-16", "gb18030")
SNAPSHOT = """
    SELECT count(*), md5(string_agg(concat_ws('|', c.external_id, c.name, c.phone, c.email, c.city,
        (SELECT string_agg(kind || value, ' ' ORDER BY kind, value) FROM identities i WHERE i.customer_id = c.id),
        (SELECT string_agg(kind || value || is_primary, ' ' ORDER BY kind, value)
         FROM contact_addresses a WHERE a.customer_id = c.id)), ',' ORDER BY c.external_id COLLATE "C", c.email))
    FROM customers c
"""
PROGRESS = "SELECT count(*) FROM customers"

Lines = Iterator[tuple[str, bool]]


def dirty_lines(rows: int, seed: int) -> Lines:
    """Lines, and whether there is nothing wrong with them."""
    chance = random.Random(seed)
    for number in range(rows):
        kind = chance.randrange(60)
        who = chance.randrange(number) if kind == 1 and number else number
        line = f"D{who:07},王{who % 977},13{who % 10**9:09},d{who}@example.com,西安"
        spoilt = {
            2: line.replace("@", "\0"),
            3: '"' + line,
            4: line.replace("@", '"@'),
            5: line + ",,too,many",
            6: line[:9],
            7: line.replace("@", "x" * 150_000),
            8: line.replace(",", ',"x" y,', 1),
            9: line.replace("王", "\udcff"),
        }
        if number == rows // 3:
            yield line.replace("王", "王" * GIANT), False
        else:
            yield spoilt.get(kind, line), kind not in spoilt


def write_dirty(path: Path, encoding: str, seed: int) -> set[str]:
    """The file; who is on its sound lines."""
    sound = set()
    with path.open("wb") as file:
        file.write(f"{HEADER}\r\n".encode(encoding))
        plain = encoding.removesuffix("-sig") if encoding != "utf-16" else "utf-16-le"
        for line, good in dirty_lines(ROWS, seed):
            file.write(_bytes(line, plain))
            sound |= {line[:8]} if good else set()
    return sound


def _bytes(line: str, encoding: str) -> bytes:
    """A lone half of a character stands for bytes that are none."""
    broken = "\udcff".encode("utf-16-le", "surrogatepass") if encoding == "utf-16-le" else b"\xff\xff"
    return broken.join(part.encode(encoding) for part in f"{line}\r\n".split("\udcff"))


@pytest.fixture
async def hall(tmp_path: Path, database_url: str) -> AsyncIterator[Hall]:
    (tmp_path / "scratch").mkdir()
    settings = {"HEARTH_DATABASE_URL": database_url, "HEARTH_SECRET_KEY": "a secret for tests of imports"}
    made = Hall(tmp_path, {**settings, "TMPDIR": str(tmp_path / "scratch")})
    yield made
    await made.stop()


@pytest.mark.parametrize("encoding", ENCODINGS if SOAK else ["utf-16"])
async def test_a_command_that_is_killed_and_run_again(hall: Hall, db: Database, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "people.csv"
    sound = write_dirty(path, encoding, seed=19)
    for kill in range(1, KILLS + 1):
        hall.start("import", "import", "customers", str(path))
        await until(lambda kill=kill: _reached(hall, db, PROGRESS, len(sound) * kill // (KILLS + 1)), SECONDS)  # type: ignore[misc]
        assert hall.running["import"].poll() is None, hall.log("import")
        hall.kill("import")
    first = await _watched_import(hall, path)
    before = await _snapshot(db)
    _accounted(path, first)
    assert await _missing(db, sound) == 0
    second = await _watched_import(hall, path)
    assert (second["rows"], second["accepted"]) == (first["rows"], first["accepted"])
    assert second["records"]["created"] == 0
    assert await _snapshot(db) == before


@pytest.mark.parametrize("encoding", ENCODINGS if SOAK else ["gb18030"])
async def test_an_upload_whose_worker_is_killed(hall: Hall, db: Database, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "people.csv"
    sound = write_dirty(path, encoding, seed=91)
    number = await _upload(db, path)
    for death in range(1, DEATHS + 1):
        hall.start("worker", "worker")
        rows = f"SELECT rows FROM imports WHERE id = {number}"
        await until(lambda rows=rows, death=death: _reached(hall, db, rows, ROWS * death // (DEATHS + 2)), SECONDS)  # type: ignore[misc]
        hall.kill("worker")
    hall.start("worker", "worker")
    peaks = Peaks(hall.running["worker"].pid)
    await until(lambda: _ended(db, number, peaks), SECONDS)
    async with db.connect() as conn:
        found = await get_import(conn, number)
        refusals = await list_rejects(conn, number, limit=ROWS)
    assert (found.state, found.rows, found.accepted + found.rejected) == ("done", ROWS, ROWS), found.error
    assert len({refusal.line for refusal in refusals}) == found.rejected
    assert all(refusal.reason for refusal in refusals)
    assert await _missing(db, sound) == 0
    assert peaks.mb < MEMORY_MB
    before = await _snapshot(db)
    again = await _upload(db, path)
    await until(lambda: _ended(db, again, peaks), SECONDS)
    async with db.connect() as conn:
        second = await get_import(conn, again)
    homes = list((tmp_path / "scratch").glob("hearth-*"))
    assert [list(home.iterdir()) for home in homes] == [[]]  # nothing of the copies that the killed workers had
    assert (second.rows, second.accepted, second.created) == (ROWS, found.accepted, 0)
    assert await _snapshot(db) == before


async def _reached(hall: Hall, db: Database, query: str, least: int) -> bool:
    for name, process in hall.running.items():
        assert process.poll() is None, f"{name} ended: {hall.log(name)}"
    async with db.connect() as conn:
        return bool((await conn.execute(text(query))).scalar_one() >= least)


async def _watched_import(hall: Hall, path: Path) -> Any:
    """The account of the command, run to its end within its memory."""
    hall.start("import", "import", "customers", str(path), "--json")
    process = hall.running["import"]
    peaks = Peaks(process.pid)

    def ended() -> bool:
        peaks.look()
        return process.poll() is not None

    await until(ended, SECONDS)
    del hall.running["import"]
    said = hall.log("import")
    assert process.returncode == 0, said
    assert 0 < peaks.mb < MEMORY_MB
    return json.loads(said[said.rindex('{"rows"') :] if '{"rows"' in said else said[said.rindex("{\n") :])


def _accounted(path: Path, account: Any) -> None:
    """Every line is in, or among the rejects with its reason."""
    assert account["rows"] == account["accepted"] + account["rejected"] == ROWS
    with path.with_name(f"{path.name}.rejects.csv").open(encoding="utf-8-sig", newline="") as file:
        refused = list(csv.DictReader(file))
    assert len({row["line"] for row in refused}) == len(refused) == account["rejected"]
    assert all(row["reason"] for row in refused)


async def _snapshot(db: Database) -> Any:
    async with db.connect() as conn:
        return tuple((await conn.execute(text(SNAPSHOT))).one())


async def _missing(db: Database, sound: set[str]) -> int:
    """How many of the people on sound lines are nobody."""
    async with db.connect() as conn:
        held = set((await conn.execute(text("SELECT external_id FROM customers"))).scalars())
    return len(sound - held)


async def _upload(db: Database, path: Path) -> int:
    async with db.begin() as conn:
        number = await create_import(conn, kind="customers", filename=path.name)
        with path.open("rb") as file:
            for position, piece in enumerate(iter(lambda: file.read(1 << 22), b"")):
                await append_chunk(conn, number, position, piece)
        await enqueue_import(conn, number)
    return number


async def _ended(db: Database, number: int, peaks: Peaks) -> bool:
    peaks.look()
    async with db.connect() as conn:
        return (await get_import(conn, number)).state in ("done", "failed")

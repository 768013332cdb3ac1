"""Importing 1,000,000 customers by `hearth import`, into a database of its own with a durable server's settings.

Against what the issue asks for (rows a second, memory, growth), and against a bare COPY of the very rows that the
import made into the same tables with the same indexes: what PostgreSQL alone takes for it. Orders and appliances of
some of these customers follow for information.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.ground import SECRET
from bench.harness import ROUNDS, Result, main
from bench.people import MAPPINGS, write_appliances, write_orders, write_people
from runtime import migrate
from runtime.errors import HearthError
from runtime.postgres import DURABLE, Server

ROWS = 1_000_000  # at scale 1
OTHERS = 30_000  # orders, and appliances
ASKED, GOAL = 30_000, 60_000  # rows a second
MEMORY_MB = 300
GROWTH = 1 / 1.35  # cost of a row at a quarter of the size, by that at the whole
COPY_ROUNDS = 3
_LOOK = 0.05  # seconds between two looks at the memory
_MB = 1024
TABLES = ("customers", "activity", "identities", "contact_addresses", "consents", "standing_consents")


class Failed(HearthError):
    """An import did not take its file in."""


@dataclass(frozen=True)
class Run:
    """One import by the command: how long, and the peak memory (MB) of its processes."""

    seconds: float
    memory: float


@dataclass
class Ground:
    """A server, a folder, and databases made from one that is migrated."""

    folder: Path
    server: Server
    count: int = 0
    files: dict[str, Path] = field(default_factory=dict)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a fresh database."""
        self.count += 1
        name = f"run_{self.count}"
        with psycopg.connect(self.server.url_of("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE hearth").format(sql.Identifier(name)))
            admin.execute("CHECKPOINT")
            yield self.server.url_of(name)
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def measure(scale: float) -> list[Result]:
    rows = max(4_000, int(ROWS * scale))
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        server = Server(Path(folder), DURABLE)
        with server as url:
            migrate.upgrade(url)
            ground = Ground(Path(folder), server)
            _write_files(ground, rows, max(1_000, int(OTHERS * scale)))
            return await _results(ground, rows)


def _write_files(ground: Ground, rows: int, others: int) -> None:
    for name, size in (("whole", rows), ("quarter", rows // 4), ("tenth", rows // 10)):
        ground.files[name] = ground.folder / f"{name}.csv"
        write_people(ground.files[name], size)
    for kind, write in (("orders", write_orders), ("appliances", write_appliances)):
        ground.files[kind] = ground.folder / f"{kind}.csv"
        write(ground.files[kind], others, rows)
    for kind, mapping in MAPPINGS.items():
        (ground.folder / f"{kind}.json").write_text(json.dumps(mapping, ensure_ascii=False))


async def _results(ground: Ground, rows: int) -> list[Result]:
    with ground.database() as url:
        tenth = await _import(ground, url, "customers", "tenth")
    wholes: list[Run] = []
    quarters: list[Run] = []
    copies: list[float] = []
    more: list[Result] = []
    for number in range(ROUNDS):
        with ground.database() as url:
            quarters.append(await _import(ground, url, "customers", "quarter"))
        with ground.database() as url:
            wholes.append(await _import(ground, url, "customers", "whole"))
            if number == 0:
                _dump(ground, url)
                speed = rows / wholes[0].seconds
                more = [await _others(ground, url, kind, speed) for kind in ("orders", "appliances")]
        if number % 2 == 0:
            with ground.database() as url:
                copies.append(_load(ground, url))
    seconds = statistics.median(run.seconds for run in wholes)
    quarter = statistics.median(run.seconds for run in quarters) / (rows // 4)
    memory = max(run.memory for run in wholes)
    copied = statistics.median(copies)
    speed = rows / seconds
    bare = "bare COPY of the same rows"
    return [
        Result("imports", speed, "rows/s", "asked for", ASKED, speed / ASKED, 1.0, GOAL / ASKED),
        Result("imports-copy", speed, "rows/s", bare, rows / copied, copied / seconds, 0.4, 0.8),
        Result("imports-memory", memory, "MB", "asked for", MEMORY_MB, MEMORY_MB / memory, 1.0, 1.5),
        Result("imports-flat", memory, "MB", "a tenth of the rows", tenth.memory, tenth.memory / memory, 0.8, 0.95),
        Result("imports-growth", seconds / rows * 1e6, "µs/row", "a quarter of the rows", quarter * 1e6,
               quarter * rows / seconds, GROWTH, 1.0),
        *more,
    ]  # fmt: skip


async def _others(ground: Ground, url: str, kind: str, speed: float) -> Result:
    """Lines a second of another kind, for information: no bar."""
    lines = sum(1 for _ in ground.files[kind].open(encoding="utf-8")) - 1
    run = await _import(ground, url, kind, kind)
    ours = lines / run.seconds
    return Result(f"imports-{kind}", ours, "rows/s", "customers, the first round", speed, ours / speed, 0.0, 0.5)


async def _import(ground: Ground, url: str, kind: str, file: str) -> Run:
    environ = os.environ | {
        "HEARTH_DATABASE_URL": url,
        "HEARTH_DATA_DIR": str(ground.folder),
        "HEARTH_SECRET_KEY": SECRET,
    }
    mapping = ground.folder / f"{kind}.json"
    arguments = ["-m", "hearth", "import", kind, str(ground.files[file]), "--mapping", str(mapping), "--json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    watching = asyncio.create_task(_peak(process.pid))
    out, told = await process.communicate()
    peak = await watching
    if process.returncode:
        raise Failed(told.decode(errors="replace").strip())
    account: dict[str, Any] = json.loads(out)
    if account["rows"] != account["accepted"] + account["rejected"] or not account["accepted"]:
        raise Failed(f"{account['rows']} rows are not {account['accepted']} + {account['rejected']}")
    return Run(account["seconds"], peak)


async def _peak(pid: int) -> float:
    """The sum of the peaks (VmHWM, MB) of a process and its children, until it ends."""
    peaks: dict[int, float] = {}
    while now := _high_water(pid):
        peaks[pid] = max(peaks.get(pid, 0.0), now)
        for child in _children(pid):
            peaks[child] = max(peaks.get(child, 0.0), _high_water(child))
        await asyncio.sleep(_LOOK)
    return sum(peaks.values())


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _high_water(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / _MB for line in lines if line.startswith("VmHWM:")), 0.0)


def _dump(ground: Ground, url: str) -> None:
    """The rows that an import made, in the order in which they lie, as files."""
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        for table in TABLES:
            statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
            with (ground.folder / f"{table}.copy").open("wb") as file, cursor.copy(statement) as copy:
                for piece in copy:
                    file.write(piece)


def _load(ground: Ground, url: str) -> float:
    """Seconds for a bare COPY of them, each table in one go, all in one transaction."""
    begun = time.perf_counter()
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        for table in TABLES:
            statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))
            with (ground.folder / f"{table}.copy").open("rb") as file, cursor.copy(statement) as copy:
                while piece := file.read(1 << 18):
                    copy.write(piece)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main(__doc__, measure))

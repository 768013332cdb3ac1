"""An import that a bug keeps from going on ends, and says so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from customers.imports import child, uploads
from customers.imports.batches import Task
from customers.imports.child import RemoteReader
from customers.imports.mapping import read_mapping
from customers.imports.run import Account, Job, import_file
from customers.imports.source import Source
from customers.imports.uploads import append_chunk, create_import, enqueue_import, get_import
from customers.values import Context
from runtime import jobs
from runtime.backoff import Backoff
from runtime.database import Database
from runtime.errors import Invalid, Unavailable
from runtime.house import House
from runtime.settings import Settings
from runtime.worker import run_worker
from tests.customers.door import NOW
from tests.waiting import until


async def test_an_import_is_not_running_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(uploads, "import_file", broken)
    soon = replace(uploads.run_import, retry=Backoff(3, uploads.run_import.retry.base * 0))  # type: ignore[union-attr]
    monkeypatch.setitem(jobs._declared, soon.name, soon)
    async with house.database.begin() as conn:
        number = await create_import(conn, kind="customers", filename="people.csv")
        await append_chunk(conn, number, 0, b"email\na@example.com\n")
        await enqueue_import(conn, number)

    async def failed() -> bool:
        async with house.database.connect() as conn:
            return (await get_import(conn, number)).state == "failed"

    worker = asyncio.create_task(run_worker(house))
    try:
        await until(failed)
    finally:
        house.stopping.set()
        await asyncio.wait_for(worker, 30)
    async with house.database.connect() as conn:
        found = await get_import(conn, number)
    assert "ZeroDivisionError: a bug" in str(found.error)
    assert found.finished_at is not None


def test_a_fault_of_the_reading_process_is_not_taken_for_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one repeats itself and ends the import, after the other it goes on."""
    context = Context(ZoneInfo("Asia/Shanghai"), "CN")
    path = tmp_path / "people.csv"
    path.write_text("email\n" + "".join(f"{number}@example.com\n" for number in range(100_000)))
    task = Task(Source(path, "people.csv"), "customers", None, context)
    with monkeypatch.context() as broken:
        broken.setattr(child, "_told", lambda _task: b"[]")
        reader = RemoteReader(task)
        with pytest.raises(RuntimeError, match="ended with status 1"):
            reader.open()
        reader.close()
    reader = RemoteReader(task)
    assert reader.open() == ["email"]
    assert reader._process is not None
    reader._process.kill()
    with pytest.raises(Unavailable, match="was stopped"):
        list(iter(reader.next, None))
    reader.close()


@pytest.mark.parametrize(("mapping", "error"), [({"columns": {"external_id": "no"}}, Invalid), (None, None)])
async def test_a_large_file_is_read_by_another_process(
    db: Database, settings: Settings, tmp_path: Path, mapping: Any, error: Any
) -> None:
    """With the same end, and the same refusal of what does not fit."""
    path = tmp_path / "people.csv"
    lines = [f"P{number},p{number}@example.com,{'x' * 200}\n" for number in range(6000)]
    path.write_text("external_id,email,remark\n" + "".join(lines))
    job = Job(Source(path, "people.csv"), "customers", mapping and read_mapping(mapping, "customers"))
    taking = import_file(db, job, Account(), settings=settings, now=NOW)
    if error is not None:
        with pytest.raises(error, match="there is no column 'no'"):
            await taking
    else:
        done = await taking
        assert (done.rows, done.accepted, done.created) == (6000, 6000, 6000)

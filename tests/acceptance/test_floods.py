"""Bodies that are meant to hurt, sent to the real web process: 413, and it stays small.

The sizes of FAULTS.md with HEARTH_SOAK=1 (`make soak`), where the web process must also answer others all the while;
smaller ones, that are refused for the same reasons, in an ordinary run.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.acceptance.hall import Hall
from tests.acceptance.memory import peak_mb

SOAK = bool(os.environ.get("HEARTH_SOAK"))
MIB = 1 << 20
FIELD = (1024 if SOAK else 48) * MIB
BOMB = (10_240 if SOAK else 256) * MIB
PARTS = 10_000
MEMORY_MB = 64
STALL_SECONDS = 0.25
BOUNDARY = "flood"
PART = 'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'
FILE = '; filename="people.csv"\r\nContent-Type: text/csv'

Body = Callable[[], AsyncIterator[bytes]]


@pytest.fixture
async def hall(tmp_path: Path, database_url: str) -> AsyncIterator[Hall]:
    made = Hall(tmp_path, {"HEARTH_DATABASE_URL": database_url, "HEARTH_SECRET_KEY": "a secret for tests of floods"})
    made.start("web", "web", "--port", str(made.port))
    await made.answering()
    yield made
    await made.stop()


async def parts() -> AsyncIterator[bytes]:
    for number in range(PARTS):
        yield f"--{BOUNDARY}\r\n{PART.format(name=f'field{number}', more='')}x\r\n".encode()
    yield f"--{BOUNDARY}--\r\n".encode()


async def huge_field() -> AsyncIterator[bytes]:
    yield f"--{BOUNDARY}\r\n{PART.format(name='kind', more='')}".encode()
    for _ in range(FIELD // MIB):
        yield b"x" * MIB
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


async def bomb(packed: bytes) -> AsyncIterator[bytes]:
    yield f"--{BOUNDARY}\r\n{PART.format(name='kind', more='')}customers\r\n".encode()
    yield f"--{BOUNDARY}\r\n{PART.format(name='file', more=FILE)}".encode()
    yield packed
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def zipped() -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("people.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(BOMB // MIB):
            member.write(bytes(MIB))
    return packed.getvalue()


def gzipped() -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(BOMB // MIB - 1):  # what a .gz says of its size goes round at 4 GiB
            file.write(bytes(MIB))
    return packed.getvalue()


@pytest.mark.parametrize("flood", ["parts", "field", "zip", "gzip"])
async def test_a_flood_is_refused_and_leaves_no_trace(hall: Hall, flood: str) -> None:
    token = hall.hearth("token", "create", "flood", "--role", "admin")["token"]
    bodies: dict[str, Body] = {"parts": parts, "field": huge_field}
    if flood in ("zip", "gzip"):
        packed = zipped() if flood == "zip" else gzipped()
        bodies[flood] = lambda: bomb(packed)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    web = hall.running["web"].pid
    async with httpx.AsyncClient(base_url=hall.base, timeout=600, trust_env=False) as client:
        assert (await client.get("/api/v1/imports", headers=headers)).status_code == 200  # it has warmed up
        before = peak_mb(web)
        status, stall = await _watched(client, lambda: _send(client, bodies[flood](), headers))
        listed = await client.get("/api/v1/imports", headers=headers)
    assert status == 413
    assert peak_mb(web) - before <= MEMORY_MB
    assert listed.json()["items"] == []
    if SOAK:
        assert stall <= STALL_SECONDS


async def _send(client: httpx.AsyncClient, body: AsyncIterator[bytes], headers: dict[str, str]) -> int:
    """The status of the answer, which may come before all of the body is sent."""
    async with client.stream("POST", "/api/v1/imports", content=body, headers=headers) as answer:
        return answer.status_code


async def _watched(client: httpx.AsyncClient, work: Callable[[], Awaitable[int]]) -> tuple[int, float]:
    """What `work` gives, and how long at most somebody else waited meanwhile for an answer that takes no time."""
    sending = asyncio.ensure_future(work())
    longest = 0.0
    while not sending.done():
        begun = time.monotonic()
        await client.get("/static/hearth.css")
        longest = max(longest, time.monotonic() - begun)
        await asyncio.sleep(0.01)
    return sending.result(), longest

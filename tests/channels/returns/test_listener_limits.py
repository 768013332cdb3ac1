"""The listener for what comes back: so many at once, for so long, and no longer."""

from __future__ import annotations

import asyncio

import pytest

from channels.email.returns import listener


async def _take(raw: bytes, recipient: str) -> None:
    return None


async def _greeting(port: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return await asyncio.wait_for(reader.readline(), 10), reader, writer


@pytest.mark.parametrize("lmtp", [False, True])
async def test_more_than_the_limit_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch, lmtp: bool) -> None:
    monkeypatch.setattr(listener, "MOST_OPEN", 2)
    async with listener.listening("127.0.0.1", 0, lambda address: True, _take, lmtp=lmtp) as port:
        taken = [await _greeting(port) for _ in range(2)]
        assert all(said.startswith(b"220") for said, _, _ in taken)
        said, reader, writer = await _greeting(port)
        assert said.startswith(b"421")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        taken[0][2].close()
        await taken[0][2].wait_closed()
        async with asyncio.timeout(10):
            while not (again := await _greeting(port))[0].startswith(b"220"):
                again[2].close()
        again[2].close()
        taken[1][2].close()


async def test_who_stays_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "LONGEST", 0.05)
    async with listener.listening("127.0.0.1", 0, lambda address: True, _take) as port:
        said, reader, writer = await _greeting(port)
        assert said.startswith(b"220")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

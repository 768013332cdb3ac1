"""Senders kept between batches: opening a connection (TCP, TLS, login) costs more than sending a message over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from channels.contract import Channel, ChannelConfig, Sender
from channels.places import Guest, Places


@dataclass(frozen=True)
class _Kept:
    sender: Sender
    context: AbstractAsyncContextManager[Sender]
    since: float


class SenderPool:
    """At most `config.connections` senders of one channel at once, shared by all batches of a process, in turns."""

    def __init__(self, channel: Channel, config: ChannelConfig) -> None:
        self._channel = channel
        self._config = config
        self._places = Places(config.connections)
        self._idle: list[_Kept] = []

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for a sender."""
        return self._places.wanted

    @asynccontextmanager
    async def borrow(self, guest: Guest) -> AsyncIterator[Sender]:
        """A sender for this block alone; waits while all are lent. Idle ones that have grown old are closed on the
        way."""
        await self._places.take(guest)
        try:
            await self._close_old()
            kept = self._idle.pop() if self._idle else await self._open()
            try:
                yield kept.sender
            finally:
                self._idle.append(_Kept(kept.sender, kept.context, time.monotonic()))
        finally:
            self._places.give_back()

    async def close(self) -> None:
        """Close the idle ones; for the end of the process or a pause in sending."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(kept.context.__aexit__(None, None, None) for kept in idle))

    async def _open(self) -> _Kept:
        context = self._channel.open(self._config)
        return _Kept(await context.__aenter__(), context, 0.0)

    async def _close_old(self) -> None:
        limit = time.monotonic() - self._config.idle
        old = [kept for kept in self._idle if kept.since < limit]
        self._idle = [kept for kept in self._idle if kept.since >= limit]
        for kept in old:
            await kept.context.__aexit__(None, None, None)

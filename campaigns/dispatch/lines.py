"""The connections of a process to one channel's server, shared by all batches that it sends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.exc import DBAPIError

from campaigns.dispatch.recorder import Recorder, Result
from channels.contract import Channel, Sender
from channels.places import TURN, Guest
from channels.pool import SenderPool
from runtime.errors import Unavailable
from runtime.group_commit import Group


class Line:
    """One connection on loan. `recorded` is the commit of its latest result."""

    def __init__(self, sender: Sender, recorded: Group[Result] | None, pool: SenderPool) -> None:
        self.sender = sender
        self.recorded = recorded
        self._pool = pool
        self._since = time.monotonic()

    @property
    def free(self) -> bool:
        """Whether it may go on with another message: nobody waits for it, or has not for long."""
        return not self._pool.wanted or time.monotonic() - self._since < TURN

    @property
    def unsettled(self) -> bool:
        return self.recorded is not None and not self.recorded.committed

    async def clear(self) -> bool:
        """Wait for that commit: nothing may be handed over for good before. False if it could not be made; the
        recorder then owes it, and nothing passes until it does not."""
        if self.recorded is None:
            return True
        try:
            await self.recorded
        except (DBAPIError, Unavailable):
            self.recorded = None
            return False
        return True


class Lines:
    """At most `limit` connections at once; opened when needed, kept until `close`."""

    def __init__(self, channel: Channel, config: Any, recorder: Recorder) -> None:
        self.limit: int = config.connections
        self._pool = SenderPool(channel, config)
        self._recorder = recorder
        self._recorded: WeakKeyDictionary[Sender, Group[Result]] = WeakKeyDictionary()

    @asynccontextmanager
    async def lease(self, guest: Guest) -> AsyncIterator[Line]:
        """A line of one's own until the block ends; waits while all are in use, or it is the turn of others."""
        async with self._pool.borrow(guest) as sender:
            line = Line(sender, self._recorded.pop(sender, None), self._pool)
            try:
                with self._recorder.expecting():
                    yield line
            finally:
                if line.recorded is not None:
                    self._recorded[sender] = line.recorded

    async def close(self) -> None:
        """Say good-bye on all lines; nobody uses one any more."""
        await self._pool.close()

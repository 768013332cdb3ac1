"""Whose turn it is: the messages of one batch, handed out at the pace that the run may keep."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from campaigns.dispatch.pace import Pacer
from campaigns.dispatch.work import Run
from channels.contract import ChannelError
from runtime.database import Database
from tracking.ledger import Due


class Turns:
    """The due messages of one batch, each handed out once, to whichever connection asks next."""

    def __init__(self, database: Database, run: Run, due: Sequence[Due]) -> None:
        self._left = deque(due)
        self._pacer = Pacer(database, run.campaign_id, run.options.rate_per_second)
        self._turn = asyncio.Lock()

    @property
    def later(self) -> float | None:
        """Seconds until a throttled rest may go on; None as long as the batch need not make room."""
        return self._pacer.later

    async def next(self, *, wait: bool = True) -> Due | None:
        """The next message; None where there is nothing more to be had, or with `wait` False nothing at this very
        moment. Raises Unavailable or DBAPIError where the database is away."""
        if not wait and (self._turn.locked() or not self._pacer.ready):
            return None
        async with self._turn:
            if not self._left or not await self._pacer.turn(len(self._left)) or not self._left:
                return None
            return self._left.popleft()

    def answered(self, message: Due, error: ChannelError | None) -> None:
        """Called once for each message whose answer came: `error` None, it was taken over."""

"""What the batches of a process share: connections, the recorder, the watch, the traffic. Made by the first, closed by
the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from campaigns.dispatch.lines import Lines
from campaigns.dispatch.recorder import Recorder
from campaigns.dispatch.traffic import Traffic
from campaigns.dispatch.watch import Watch
from channels.contract import Channel
from runtime.house import House


class Desk:
    """See `desk`."""

    def __init__(self, house: House) -> None:
        self.recorder = recorder_of(house)
        self.watch = Watch(house.database)
        self.traffic = Traffic(house.database, house.settings.timezone)
        self.users = 0
        self._house = house
        self._lines: dict[str, Lines] = {}

    def lines(self, channel: Channel) -> Lines:
        """Raises BadSetting where the channel's configuration cannot be used."""
        if channel.name not in self._lines:
            self._lines[channel.name] = Lines(channel, channel.configure(self._house.settings), self.recorder)
        return self._lines[channel.name]

    async def close(self) -> None:
        await self.recorder.close()
        await self.watch.close()
        await self.traffic.close()
        await asyncio.gather(*(lines.close() for lines in self._lines.values()))


_recorders: WeakKeyDictionary[House, Recorder] = WeakKeyDictionary()
_desks: WeakKeyDictionary[House, Desk] = WeakKeyDictionary()


def recorder_of(house: House) -> Recorder:
    """The one of this process: it outlives the desk, since it may owe results."""
    found = _recorders.get(house)
    if found is None:
        found = _recorders[house] = Recorder(house.database)
    return found


@asynccontextmanager
async def desk(house: House) -> AsyncIterator[Desk]:
    """The desk of this process, for the duration of a batch."""
    shared = _desks.setdefault(house, Desk(house))
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _desks[house]
            await shared.close()

"""What must stop a message at the last moment: pause, cancel, a claim lost to another worker, a consent withdrawn.

One poller a process asks for all batches under way. A message may be handed over for good only on an answer younger
than FRESH, so that with the way to the final dot nothing older than two seconds counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import runs
from campaigns.permission import barred
from campaigns.respect.underway import Courtesy
from campaigns.states import RunState
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.jobs import Claim, held_claims
from runtime.registry import ChannelKind

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds
FRESH = 1.5
PATIENCE = 30.0  # how long a connection is held up while the database is away


@dataclass(eq=False)
class Ward:
    """One batch under watch. `halted`: nothing of it may go any more; `barred`: who may not be written to, and why.
    People are asked about once the first message is about to go, and no more when theirs is `done`."""

    run_id: int
    channel: ChannelKind
    targets: Sequence[tuple[int, str]]
    claim: Claim | None
    courtesy: Courtesy
    halted: bool = False
    barred: Mapping[int, str] = field(default_factory=dict)
    begun: bool = False
    done: set[int] = field(default_factory=set)
    asked_at: float = float("-inf")

    def quiet(self, customer_id: int) -> bool:
        """Whether the customer is not to be disturbed at this moment."""
        return self.courtesy.quiet_until(customer_id, utc_now()) is not None

    @property
    def left(self) -> list[tuple[int, str]]:
        """The targets that may still be written to."""
        return [target for target in self.targets if target[0] not in self.done]

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.asked_at <= FRESH


class Watch:
    """Polls while there is something to watch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wards: set[Ward] = set()
        self._task: asyncio.Task[None] | None = None
        self._called = asyncio.Event()
        self._answered = asyncio.Condition()

    @contextmanager
    def over(self, ward: Ward) -> Iterator[Ward]:
        """Watch `ward` until the block ends; it is asked about at once."""
        self._wards.add(ward)
        self._called.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            yield ward
        finally:
            self._wards.discard(ward)

    async def fresh(self, ward: Ward) -> bool:
        """Wait for an answer young enough; False if none comes within PATIENCE."""
        if ward.fresh:
            return True
        ward.begun = True
        if self._task is None or self._task.done():
            return False
        self._called.set()
        try:
            async with asyncio.timeout(PATIENCE), self._answered:
                await self._answered.wait_for(lambda: ward.fresh)
        except TimeoutError:
            return False
        return True

    def check(self) -> None:
        """Raises what ended the polling, if anything did."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._called.wait()
            self._called.clear()
            wards = list(self._wards)
            if not wards:
                continue
            asked_at = time.monotonic()
            asked = [ward for ward in wards if ward.begun]
            try:
                async with self._database.connect() as conn:
                    await _ask(conn, wards)
            except (OperationalError, InterfaceError, Unavailable) as error:
                log.warning("consents and pauses cannot be checked, nothing is sent meanwhile: %s", error)
                await asyncio.sleep(EVERY)
                continue
            for ward in asked:
                ward.asked_at = asked_at
            async with self._answered:
                self._answered.notify_all()


async def _ask(conn: AsyncConnection, wards: Sequence[Ward]) -> None:
    sending = select(runs.c.id).where(runs.c.id.in_({ward.run_id for ward in wards}), runs.c.state == RunState.SENDING)
    going = set((await conn.execute(sending)).scalars())
    held = await held_claims(conn, [ward.claim for ward in wards if ward.claim is not None])
    now = utc_now()
    for ward in wards:
        ward.halted = ward.run_id not in going or (ward.claim is not None and ward.claim not in held)
        if ward.begun and not ward.halted and (left := ward.left):
            impolite = await ward.courtesy.barred(conn, [customer_id for customer_id, _ in left], now)
            ward.barred = {**impolite, **await barred(conn, left, ward.channel, now)}

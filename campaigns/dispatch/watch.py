"""What must stop a message at the last moment: pause, cancel, a claim lost to another worker, a consent withdrawn.

One poller a process asks for all batches under way: of a new one about those who changed since the freeze judged them,
then about those who changed since. A message may be handed over for good only on an answer younger than FRESH, so that
with the way to the final dot nothing older than two seconds counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.models import runs
from campaigns.permission import barred
from campaigns.respect.underway import Courtesy
from campaigns.states import RunState
from customers.changes import CONSENTS, CUSTOMERS, EVERYTHING, SUPPRESSIONS, News, news
from runtime.clock import utc_now
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.jobs import Claim, held_claims
from runtime.registry import ChannelKind

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds
FRESH = 1.5
EVERYONE_EVERY = 10.0  # who changed is noted and heard of at once; an address that nobody has any more is not
SPEAKS_AGAINST = frozenset({EVERYTHING, CONSENTS, SUPPRESSIONS, "service_visits"})
JUDGED_BY = SPEAKS_AGAINST | {CUSTOMERS}  # what the freeze saw; who has another address now is asked about again
REMEMBERED = timedelta(minutes=30)  # the log of changes keeps twice that at least (segments/forget.py)
MANY = 20_000  # changes of a run's people; beyond that everybody is asked about
PATIENCE = 30.0  # how long a connection is held up while the database is away


class Judged(NamedTuple):
    """When everybody of a run was last judged; None as snapshot: nobody can tell who changed since."""

    snapshot: str | None
    at: datetime


@dataclass(eq=False)
class Ward:
    """One batch under watch. `addresses` by customer, of all who may get a message. `halted`: nothing of it may go any
    more; `barred`: who may not be written to, and why. Those in `done` are asked about no more."""

    run_id: int
    channel: ChannelKind
    addresses: Mapping[int, str]
    judged: Judged
    claim: Claim | None
    courtesy: Courtesy
    halted: bool = False
    barred: Mapping[int, str] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    asked_at: float = float("-inf")
    all_asked_at: float = float("-inf")
    _spoken_against: dict[int, str] = field(default_factory=dict)

    def quiet(self, customer_id: int) -> bool:
        """Whether the customer is not to be disturbed at this moment."""
        courtesy = self.courtesy
        return bool(courtesy.windows) and courtesy.quiet_until(customer_id, utc_now()) is not None

    @property
    def fresh(self) -> bool:
        return time.monotonic() - self.asked_at <= FRESH

    @property
    def new(self) -> bool:
        return self.all_asked_at == float("-inf")

    async def ask(self, conn: AsyncConnection, told: News, since: frozenset[int] | None, at: float) -> None:
        """Ask about everyone now and then, and about those who changed in between. `since`: who changed since the run's
        people were judged, where that is enough to ask a new ward; `at`: monotonic, before `told`."""
        everyone = told.ids is None or at - self.all_asked_at > EVERYONE_EVERY
        ids = [number for number in (self.addresses if everyone else told.ids or ()) if self._open(number)]
        if ids:
            now = utc_now()
            asked = [(number, self.addresses[number]) for number in ids if since is None or number in since]
            found = await barred(conn, asked, self.channel, now) if asked else {}
            kept = self._spoken_against.keys() - ids
            self._spoken_against = {
                **{number: self._spoken_against[number] for number in kept},
                **await self.courtesy.objecting(conn, ids, now),
                **found,
            }
        self.barred = {**await self.courtesy.over_cap(conn, utc_now()), **self._spoken_against}
        if everyone:
            self.all_asked_at = at

    def _open(self, customer_id: int) -> bool:
        return customer_id in self.addresses and customer_id not in self.done


class _Since(NamedTuple):
    """Who changed since a run was judged (None: too many, or perhaps everyone), and up to where that was read, when."""

    ids: frozenset[int] | None
    snapshot: str | None
    at: datetime


class Watch:
    """Polls while there is something to watch."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wards: set[Ward] = set()
        self._task: asyncio.Task[None] | None = None
        self._seen: str | None = None
        self._since: dict[int, _Since] = {}
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
                self._seen = None
                self._since.clear()
                continue
            asked_at = time.monotonic()
            try:
                async with self._database.connect() as conn:
                    await self._ask(conn, wards, asked_at)
            except (OperationalError, InterfaceError, Unavailable) as error:
                log.warning("consents and pauses cannot be checked, nothing is sent meanwhile: %s", error)
                await asyncio.sleep(EVERY)
                continue
            for ward in wards:
                ward.asked_at = asked_at
            async with self._answered:
                self._answered.notify_all()

    async def _ask(self, conn: AsyncConnection, wards: Sequence[Ward], at: float) -> None:
        told = await news(conn, SPEAKS_AGAINST, self._seen)
        sending = select(runs.c.id).where(
            runs.c.id.in_({ward.run_id for ward in wards}), runs.c.state == RunState.SENDING
        )
        going = set((await conn.execute(sending)).scalars())
        held = await held_claims(conn, [ward.claim for ward in wards if ward.claim is not None])
        for ward in wards:
            ward.halted = ward.run_id not in going or (ward.claim is not None and ward.claim not in held)
            if not ward.halted:
                await ward.ask(conn, told, await self._since_judged(conn, ward) if ward.new else None, at)
        self._seen = told.snapshot

    async def _since_judged(self, conn: AsyncConnection, ward: Ward) -> frozenset[int] | None:
        """Who may be judged otherwise than the freeze did; None: everybody may. Of each run the log is read on from
        where it was read for its batch before."""
        before = self._since.get(ward.run_id) or _Since(frozenset(), *ward.judged)
        now = utc_now()
        if before.ids is None or before.snapshot is None or now - before.at > REMEMBERED:
            return None
        told = await news(conn, JUDGED_BY, before.snapshot)
        ids = None if told.ids is None or len(before.ids) + len(told.ids) > MANY else before.ids | told.ids
        self._since[ward.run_id] = _Since(ids, told.snapshot, now)
        return ids

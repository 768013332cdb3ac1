"""Results, recorded by group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.suppressions import SuppressedAddress, suppress_addresses
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import GroupCommit
from tracking.ledger import Outcome, record_outcomes

PATIENCE = 60.0  # seconds without a database, after which the batch goes back to the queue
HOLD = 0.25  # of a commit: connections go on together when it is done, and their results come back together
BOUNCED = "bounced"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a message; `bad_address` (kind, value): nobody may be written to there any more."""

    outcome: Outcome
    bad_address: tuple[str, str] | None = None


class Recorder:
    """One a process, whatever batches come and go. What the database could not take within PATIENCE (it is away, its
    disk is full) is owed: until it is written nothing else may be handed over, or each try would repeat messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = _group_commit(database)
        self._owed: list[Result] = []
        self._settling = asyncio.Lock()

    @property
    def owes(self) -> bool:
        return bool(self._owed)

    def submit(self, result: Result) -> asyncio.Future[None]:
        """A future that is done once the result is committed, or has failed to be, past PATIENCE."""
        done = self._commits.submit(result)
        done.add_done_callback(lambda ended: self._keep(result, ended))
        return done

    async def settle(self) -> None:
        """Write what is owed. Raises Unavailable or DBAPIError where that cannot be done yet."""
        async with self._settling:
            results = list(self._owed)
            if results:
                async with self._database.begin() as conn:
                    await _suppress(conn, results)
                    await record_outcomes(conn, [result.outcome for result in results])
                del self._owed[: len(results)]

    async def close(self) -> None:
        """Return when everything submitted is committed or has failed."""
        await self._commits.close()

    def _keep(self, result: Result, ended: asyncio.Future[None]) -> None:
        """What the database refuses for its content is not owed: it would be refused for ever."""
        error = None if ended.cancelled() else ended.exception()
        if isinstance(error, Unavailable | OperationalError | InterfaceError):
            self._owed.append(result)


def _group_commit(database: Database) -> GroupCommit[Result]:

    async def record(conn: AsyncConnection, results: Sequence[Result]) -> None:
        """Suppressed first: should the rest be lost, the message is tried again and skipped for that reason."""
        if any(result.bad_address is not None for result in results):
            async with database.begin() as own:
                await _suppress(own, results)
        await record_outcomes(conn, [result.outcome for result in results])

    return GroupCommit(database, record, patience=PATIENCE, hold=HOLD, atomic=False)


async def _suppress(conn: AsyncConnection, results: Sequence[Result]) -> None:
    gone = [_suppressed(result.outcome, *result.bad_address) for result in results if result.bad_address]
    if gone:
        await suppress_addresses(conn, gone)


def _suppressed(outcome: Outcome, kind: str, value: str) -> SuppressedAddress:
    return SuppressedAddress(kind, value, BOUNCED, outcome.at, detail=outcome.reason)

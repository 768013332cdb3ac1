"""Results, recorded by group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from customers.suppressions import SuppressedAddress, suppress_addresses
from runtime.database import Database
from runtime.errors import Unavailable
from runtime.group_commit import Group, GroupCommit
from tracking.ledger import Outcome, record_outcomes

PATIENCE = 60.0  # seconds without a database, after which the batch goes back to the queue
BOUNCED = "bounced"


class Result(NamedTuple):
    """What became of a message; `bad_address` (kind, value): nobody may be written to there any more."""

    outcome: Outcome
    bad_address: tuple[str, str] | None = None


class Recorder:
    """One a process, whatever batches come and go. What the database could not take within PATIENCE (it is away, its
    disk is full) is owed: until it is written nothing else may be handed over, or each try would repeat messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._commits = GroupCommit(
            database, self._record, patience=PATIENCE, enough=self._enough, atomic=False, lost=self._keep
        )
        self._lines = 0
        self._owed: list[Result] = []
        self._settling = asyncio.Lock()

    @property
    def owes(self) -> bool:
        return bool(self._owed)

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While a connection is busy, results are to be expected from it."""
        self._lines += 1
        try:
            yield
        finally:
            self._lines -= 1

    def submit(self, result: Result) -> Group[Result]:
        """To be awaited: it returns once the result is committed, or raises where it could not be, past PATIENCE."""
        return self._commits.submit(result)

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

    def _enough(self) -> int:
        """While most of the connections wait for their commit, the others get their next messages."""
        return self._lines * 3 // 4

    async def _record(self, conn: AsyncConnection, results: Sequence[Result]) -> None:
        """Suppressed first: should the rest be lost, the message is tried again and skipped for that reason."""
        if any(result.bad_address is not None for result in results):
            async with self._database.begin() as own:
                await _suppress(own, results)
        await record_outcomes(conn, [result.outcome for result in results])

    def _keep(self, results: Sequence[Result], error: BaseException) -> None:
        """What the database refuses for its content is not owed: it would be refused for ever."""
        if isinstance(error, Unavailable | OperationalError | InterfaceError):
            self._owed.extend(results)


async def _suppress(conn: AsyncConnection, results: Sequence[Result]) -> None:
    gone = [_suppressed(result.outcome, *result.bad_address) for result in results if result.bad_address]
    if gone:
        await suppress_addresses(conn, gone)


def _suppressed(outcome: Outcome, kind: str, value: str) -> SuppressedAddress:
    return SuppressedAddress(kind, value, BOUNCED, outcome.at, detail=outcome.reason)

"""Results, recorded by group commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.suppressions import SuppressedAddress, suppress_addresses
from runtime.database import Database
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


def recorder(database: Database) -> GroupCommit[Result]:
    """A result's future is done once it is committed, or has failed to be, past PATIENCE."""

    async def record(conn: AsyncConnection, results: Sequence[Result]) -> None:
        """Suppressed first: should the rest be lost, the message is tried again and skipped for that reason."""
        gone = [_suppressed(result.outcome, *result.bad_address) for result in results if result.bad_address]
        if gone:
            async with database.begin() as own:
                await suppress_addresses(own, gone)
        await record_outcomes(conn, [result.outcome for result in results])

    return GroupCommit(database, record, patience=PATIENCE, hold=HOLD, atomic=False)


def _suppressed(outcome: Outcome, kind: str, value: str) -> SuppressedAddress:
    return SuppressedAddress(kind, value, BOUNCED, outcome.at, detail=outcome.reason)

"""What became of a batch of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from runtime.errors import Problem


@dataclass(frozen=True)
class Reject:
    """A record that was refused: its place in the batch, and everything wrong with it."""

    index: int
    problems: Sequence[Problem]


class Outcome(Enum):
    """What an accepted record did to what was known."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class UpsertResult:
    """accepted = created + updated + unchanged; accepted + len(rejected) = records given.

    `ids` stands for the accepted records in their order: of customers and coded records their own id, of orders,
    appliances and service visits the customer's.
    """

    accepted: int = 0
    rejected: Sequence[Reject] = ()
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    ids: Sequence[int] = ()


@dataclass
class Tally:
    """Collects what becomes of each record of a batch, in any order."""

    rejected: dict[int, list[Problem]] = field(default_factory=dict)
    accepted: dict[int, Outcome] = field(default_factory=dict)

    def reject(self, index: int, *problems: Problem) -> None:
        self.rejected.setdefault(index, []).extend(problems)

    def accept(self, index: int, outcome: Outcome) -> None:
        self.accepted[index] = outcome

    def result(self, ids: dict[int, int]) -> UpsertResult:
        """The account; `ids` by the index of the record."""
        outcomes = list(self.accepted.values())
        return UpsertResult(
            accepted=len(outcomes),
            rejected=[Reject(index, problems) for index, problems in sorted(self.rejected.items())],
            created=outcomes.count(Outcome.CREATED),
            updated=outcomes.count(Outcome.UPDATED),
            unchanged=outcomes.count(Outcome.UNCHANGED),
            ids=[ids[index] for index in sorted(self.accepted)],
        )


@dataclass(frozen=True)
class Consent:
    """One entry of the consent ledger. `at` None: when it was given is not known, only that it was told now."""

    channel: str
    purpose: str
    granted: bool
    source: str
    at: datetime | None = None
    text_version: str | None = None

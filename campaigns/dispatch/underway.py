"""Which messages of a batch are under way, and how many connections they take at their domains."""

from __future__ import annotations

from campaigns.dispatch.domains import Domain
from tracking.ledger import Due, MessageKey


class Underway:
    """A message takes one place at its domain (`Domain.out`) until it is answered. One that goes behind another to the
    same domain, over the same connection, takes over its place."""

    def __init__(self) -> None:
        self._domains: dict[MessageKey, Domain] = {}
        self._heirs: dict[MessageKey, MessageKey] = {}
        self._before: dict[MessageKey, MessageKey] = {}

    def start(self, message: Due, domain: Domain, now: float) -> None:
        self._domains[message.key] = domain
        if domain.out == 0:
            domain.answered_at = now  # it was not asked anything until now
        domain.out += 1

    def domain_to_follow(self, before: Due) -> Domain | None:
        """The domain of a message that nobody goes behind yet."""
        key = before.key
        return None if key in self._heirs else self._domains.get(key)

    def follow(self, message: Due, before: Due) -> None:
        key, leader = message.key, before.key
        self._domains[key] = self._domains[leader]
        self._heirs[leader], self._before[key] = key, leader

    def end(self, message: Due) -> Domain | None:
        """It was answered, or not handed over after all; None where it is not under way."""
        key = message.key
        domain = self._domains.pop(key, None)
        if domain is None:
            return None
        heir, before = self._heirs.pop(key, None), self._before.pop(key, None)
        if heir is not None and before is not None:
            self._heirs[before], self._before[heir] = heir, before
        elif heir is not None:
            del self._before[heir]
        elif before is not None:
            del self._heirs[before]
        else:
            domain.out -= 1
        return domain

    def clear(self) -> None:
        """Nothing is under way any more."""
        for key, domain in self._domains.items():
            domain.out -= key not in self._before
        self._domains.clear()
        self._heirs.clear()
        self._before.clear()

"""A customer as known while a batch is worked on: one record after the other is applied to it, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from customers.person import Pair, Person
from customers.results import Consent

COLUMNS = (
    "external_id",
    "name",
    "email",
    "phone",
    "gender",
    "city",
    "district",
    "address",
    "platform",
    "language",
    "timezone",
    "birthday",
    "household_size",
    "community",
    "dealer",
    "salesperson",
)
"""What a record can set in the table of customers, beside tags and attributes."""

HOME = frozenset({"community", "city", "address"})
"""What says where somebody lives: with whom they share a household."""


@dataclass(eq=False)
class Known:
    """`id` None until the customer is written the first time. The `new_…` and `changed` say what is to be written."""

    id: int | None
    values: dict[str, Any]
    tags: list[str]
    attributes: dict[str, Any]
    addresses: dict[Pair, bool]
    standing: dict[Pair, tuple[bool, datetime]]  # (channel, purpose) → (granted, at)
    ledger: set[tuple[str, str, datetime, bool]]  # entries that exist: channel, purpose, at, granted
    household_id: int | None = None
    identities: set[Pair] = field(default_factory=set)
    new_identities: list[Pair] = field(default_factory=list)
    new_consents: list[Consent] = field(default_factory=list)
    gone_addresses: set[Pair] = field(default_factory=set)
    changed: bool = False
    moved: bool = False  # the home changed
    addresses_changed: bool = False

    def apply(self, person: Person, now: datetime, *, fill: bool) -> bool:
        """Take over what `person` says; whether anything changed. With `fill`, only what was missing."""
        steps = (
            self._take_values(person, fill=fill),
            self._take_tags(person, fill=fill),
            self._take_attributes(person, fill=fill),
            self._take_identities(person),
            self._take_addresses(person, fill=fill),
            self._take_consents(person, now),
        )
        self.changed |= any(steps)
        return any(steps)

    def _take_values(self, person: Person, *, fill: bool) -> bool:
        changed = False
        for name, value in person.values.items():
            known = self.values.get(name)
            if value == known or (known is not None and (fill or (name == "external_id" and person.id is None))):
                continue
            if value is None and known is not None and name in ("email", "phone"):
                self._forget_address((name, known))
            self.values[name] = value
            self.moved |= name in HOME
            changed = True
        return changed

    def _take_tags(self, person: Person, *, fill: bool) -> bool:
        if person.tags is None or person.tags == self.tags or (fill and self.tags):
            return False
        self.tags = person.tags
        return True

    def _take_attributes(self, person: Person, *, fill: bool) -> bool:
        changed = False
        for key, value in person.attributes.items():
            if self.attributes.get(key) == value or (fill and key in self.attributes):
                continue
            if value is None:
                del self.attributes[key]
            else:
                self.attributes[key] = value
            changed = True
        return changed

    def _take_identities(self, person: Person) -> bool:
        new = [pair for pair in person.identities if pair not in self.identities]
        self.identities.update(new)
        self.new_identities += new
        return bool(new)

    def _take_addresses(self, person: Person, *, fill: bool) -> bool:
        changed = False
        for pair, primary in person.addresses.items():
            known = self.addresses.get(pair)
            leads = (primary and not fill) or not any(
                held for other, held in self.addresses.items() if other[0] == pair[0]
            )
            if known is None or (leads and not known):
                if leads:
                    self._demote(pair[0])
                self.addresses[pair] = leads
                self.gone_addresses.discard(pair)
                self.changed |= self._mirror(pair, leads=leads)
                changed = True
        self.addresses_changed |= changed
        return changed

    def _mirror(self, pair: Pair, *, leads: bool) -> bool:
        """Keep the columns email and phone equal to the primary address."""
        kind, value = pair
        if not leads or kind not in ("email", "phone") or self.values.get(kind) == value:
            return False
        self.values[kind] = value
        return True

    def _demote(self, kind: str) -> None:
        for pair in self.addresses:
            if pair[0] == kind:
                self.addresses[pair] = False

    def _forget_address(self, pair: Pair) -> None:
        if self.addresses.pop(pair, None) is not None:
            self.gone_addresses.add(pair)
            self.addresses_changed = True

    def _take_consents(self, person: Person, now: datetime) -> bool:
        taken = [consent for consent in person.consents if self._take_consent(consent, now)]
        self.new_consents += taken
        return bool(taken)

    def _take_consent(self, consent: Consent, now: datetime) -> bool:
        """A dated entry enters the ledger once. An undated one tells the state: it neither repeats what stands nor
        overrides a withdrawal, which only the person's own dated word can do."""
        key = (consent.channel, consent.purpose)
        standing = self.standing.get(key)
        if consent.at is None and standing is not None and (standing[0] == consent.granted or not standing[0]):
            return False
        at = consent.at or (max(now, standing[1]) if standing else now)
        entry = (*key, at, consent.granted)
        if entry in self.ledger:
            return False
        self.ledger.add(entry)
        told_at = min(at, now)  # as customers/consents.py has it
        if standing is None or told_at >= standing[1]:
            self.standing[key] = (consent.granted, told_at)
        return True

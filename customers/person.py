"""What a record says about a person, made plain; whom it means is decided elsewhere (customers/resolving.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from customers.addresses import read_address, read_identity_kind
from customers.attributes import read_attributes
from customers.consents import MARKETING
from customers.results import Consent
from customers.schemas import ADDRESS, CONSENT, CUSTOMER, IDENTITY, Schema, clean
from customers.values import Context, read_texts
from runtime.errors import Problem
from runtime.registry import Kind

Pair = tuple[str, str]  # (kind, value)
_LIST_LIMIT = 50


@dataclass(frozen=True)
class Person:
    """`values`: columns of customers that the record gives. `identities`: who it is. `addresses`: where to reach them,
    True for the primary ones. `tags` None: not given. An attribute None: to be removed."""

    values: Mapping[str, Any]
    identities: tuple[Pair, ...]
    id: int | None = None  # Hearth's own, where the record names it
    addresses: Mapping[Pair, bool] = field(default_factory=dict)
    tags: list[str] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consents: tuple[Consent, ...] = ()

    @property
    def signs(self) -> tuple[Pair, ...]:
        """All that tells who it is, our own id included."""
        return self.identities if self.id is None else (("id", str(self.id)), *self.identities)

    @property
    def phone(self) -> str | None:
        """Says who someone is only where a record has no identity."""
        return self.values.get("phone")


def read_person(record: Any, kinds: dict[str, Kind], context: Context, path: str = "") -> tuple[Person, list[Problem]]:
    """The person that `record` describes, and everything wrong with it. New attributes enter `kinds`."""
    values, problems = clean(record, CUSTOMER, context, path)
    number = values.pop("id", None)
    given = record if isinstance(record, dict) else {}
    identities = _identities(given.get("identities"), context, f"{path}identities", problems)
    addresses = _addresses(given.get("addresses"), context, f"{path}addresses", problems)
    consents = _consents(given.get("consents"), context, f"{path}consents", problems)
    attributes, faults = read_attributes(given.get("attributes"), kinds, context, f"{path}attributes")
    tags = _tags(given, context, path, problems)
    person = Person(
        values=values,
        identities=_who(values, identities),
        id=number,
        addresses=_where(values, identities, addresses),
        tags=tags,
        attributes=attributes,
        consents=consents,
    )
    problems += faults
    if not problems and not person.signs and person.phone is None:
        culprit = path.rstrip(".")
        problems.append(Problem(culprit, "no customer is named; give external_id, email, phone or an identity"))
    return person, problems


def _who(values: Mapping[str, Any], identities: list[Pair]) -> tuple[Pair, ...]:
    own = [(kind, values[kind]) for kind in ("external_id", "email") if values.get(kind)]
    return tuple(dict.fromkeys([*own, *(pair for pair in identities if pair[0] != "phone")]))


def _where(values: Mapping[str, Any], identities: list[Pair], addresses: dict[Pair, bool]) -> dict[Pair, bool]:
    found = {pair: False for pair in identities if pair[0] != "external_id"}
    found.update(addresses)
    named = {kind: values[kind] for kind in ("email", "phone") if values.get(kind)}
    return {pair: first and pair[0] not in named for pair, first in found.items()} | dict.fromkeys(named.items(), True)


def _identities(given: Any, context: Context, path: str, problems: list[Problem]) -> list[Pair]:
    return [_pair(values, context) for values in _listed(given, IDENTITY, context, path, problems, _pair)]


def _addresses(given: Any, context: Context, path: str, problems: list[Problem]) -> dict[Pair, bool]:
    rows = _listed(given, ADDRESS, context, path, problems, _pair)
    return {_pair(values, context): bool(values.get("is_primary")) for values in rows}


def _consents(given: Any, context: Context, path: str, problems: list[Problem]) -> tuple[Consent, ...]:
    rows = _listed(given, CONSENT, context, path, problems, _consent)
    return tuple(_consent(values, context) for values in rows)


def _listed(
    given: Any,
    schema: Schema,
    context: Context,
    path: str,
    problems: list[Problem],
    check: Callable[[dict[str, Any], Context], object],
) -> list[dict[str, Any]]:
    """The objects of a list that are in order; `check` raises ValueError for one that is not."""
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > _LIST_LIMIT:
        problems.append(Problem(path, f"expected a list of at most {_LIST_LIMIT} objects"))
        return []
    found = []
    for position, one in enumerate(given):
        values, faults = clean(one, schema, context, f"{path}[{position}].")
        problems += faults
        if faults:
            continue
        try:
            check(values, context)
        except ValueError as error:
            problems.append(Problem(f"{path}[{position}].value", str(error)))
        else:
            found.append(values)
    return found


def _pair(values: dict[str, Any], context: Context) -> Pair:
    kind = read_identity_kind(values["kind"], context)
    value = read_address(str(kind), values["value"], context)
    if kind is None or value is None:
        raise ValueError("is empty")
    return kind, value


def _consent(values: dict[str, Any], _: Context) -> Consent:
    return Consent(
        channel=values["channel"],
        purpose=values.get("purpose") or MARKETING,
        granted=values["granted"],
        source=values.get("source") or "api",
        at=values.get("at"),
        text_version=values.get("text_version"),
    )


def _tags(given: Mapping[str, Any], context: Context, path: str, problems: list[Problem]) -> list[str] | None:
    if "tags" not in given:
        return None
    try:
        return read_texts(given["tags"], context) or []
    except ValueError as error:
        problems.append(Problem(f"{path}tags", str(error)))
        return None

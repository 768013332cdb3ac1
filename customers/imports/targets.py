"""The fields that a mapping can fill, by kind of record, and how a dotted target becomes a place in the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from customers.consents import MARKETING
from customers.schemas import (
    APPLIANCE,
    COMMUNITY,
    CUSTOMER,
    DEALER,
    ORDER,
    ORDER_ITEM,
    PRODUCT,
    SALESPERSON,
    SERVICE_VISIT,
    Schema,
)
from runtime.errors import Invalid, Problem

_SCHEMAS: Mapping[str, Schema] = {
    "customers": CUSTOMER,
    "orders": ORDER,
    "appliances": APPLIANCE,
    "service_visits": SERVICE_VISIT,
    "salespeople": SALESPERSON,
    "dealers": DEALER,
    "communities": COMMUNITY,
    "products": PRODUCT,
}
KINDS = tuple(_SCHEMAS)
OWNED = frozenset({"orders", "appliances", "service_visits"})
"""Kinds whose records belong to a customer, named by `customer.…`."""

_OPEN = ("attributes.", "identities.", "consents.")  # of a customer: any key may follow
_WHO = ("id", "external_id", "email", "phone")
IMPORT_SOURCE = "import"


def targets_of(kind: str) -> list[str]:
    """The fields of `kind` (`orders.items`: of its items), as a mapping names them; `…` stands for any key."""
    if kind == "orders.items":
        return list(ORDER_ITEM.fields)
    if kind not in _SCHEMAS:
        return []
    own = list(_SCHEMAS[kind].fields)
    people = [*CUSTOMER.fields, "tags", *(f"{head}…" for head in _OPEN)]
    if kind == "customers":
        return people
    return own + [f"customer.{name}" for name in people] if kind in OWNED else own


def check_target(kind: str, target: str) -> str | None:
    """What is wrong with a mapping's target, None if nothing."""
    plain = target
    for head in _OPEN:
        before, found, key = target.partition(head)
        if found and key and before in ("", "customer."):
            plain = f"{before}{head}…"
    known = targets_of(kind)
    if plain in known:
        return None
    if not known:
        return f"{kind.partition('.')[0]} have no items"
    return f"there is no such field; known: {', '.join(known)}"


def check_keys(kind: str, columns: Mapping[str, object], header: Sequence[str]) -> None:
    """Raises Invalid unless the mapping fills what tells one record from another."""
    missing = [reason for keys, reason in _needed(kind) if not any(_fills(columns, key) for key in keys)]
    if missing:
        example = f'{{"columns": {{"{_needed(kind)[0][0][0]}": "{header[0]}", …}}}}'
        raise Invalid(
            [
                Problem("columns", f"{reason}; the file has: {', '.join(header)}; map one, as {example}")
                for reason in missing
            ]
        )


def set_target(record: dict[str, Any], target: str, value: Any) -> None:
    """Set the field that a dotted target names."""
    if "." not in target:
        record[target] = value
        return
    head, _, rest = target.partition(".")
    if head == "customer":
        set_target(record.setdefault("customer", {}), rest, value)
    elif head == "attributes":
        record.setdefault("attributes", {})[rest] = value
    elif head == "identities":
        record.setdefault("identities", []).append({"kind": rest, "value": value})
    elif head == "consents":
        entry = {"channel": rest, "purpose": MARKETING, "granted": value, "source": IMPORT_SOURCE}
        record.setdefault("consents", []).append(entry)


def _needed(kind: str) -> list[tuple[tuple[str, ...], str]]:
    """Groups of fields of which one at least must be filled, and what to say where none is."""
    who = (*_WHO, "identities.")
    owner = tuple(f"customer.{name}" for name in who)
    if kind == "customers":
        return [(("external_id", *who), "no column says who a customer is (external_id, email, phone)")]
    if kind not in OWNED:
        return [(("code",), "no column is the code")]
    groups = [(("customer.external_id", *owner), "no column says whose record it is (customer.external_id, …)")]
    if kind == "orders":
        groups.insert(0, (("number",), "no column is the order's number"))
    if kind == "appliances":
        keys = ("number", "serial", "model", "category")
        groups.insert(0, (keys, "no column tells the appliance (number, serial, category, model)"))
    return groups


def _fills(columns: Mapping[str, object], key: str) -> bool:
    return any(target.startswith(key) if key.endswith(".") else target == key for target in columns)

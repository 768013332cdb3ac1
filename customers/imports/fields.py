"""How each target of a file of customers is read, column by column: what it says, and as COPY takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from customers.addresses import plain_mobiles, read_address, read_identity_kind
from customers.attributes import folded_attributes, read_attribute
from customers.imports.columns import NO_TEXT, NULL, Column, as_member, copied, copied_folded, copied_lists
from customers.imports.mapping import Fill
from customers.imports.shape import Shape
from customers.models import customers
from customers.schemas import CONSENT, CUSTOMER, IDENTITY
from customers.values import Context, Reader, read_texts
from runtime.registry import Kind

_PLAIN = frozenset({"email", "phone"})
"""Fields that are folded as they are, and hold no sign that COPY escapes."""
_ALONE = frozenset({"external_id", *_PLAIN})
"""Fields whose values hardly repeat."""
_UNFOLDED = frozenset({Kind.NUMBER, Kind.YES_NO})


def columns_of(shape: Shape, context: Context) -> dict[str, Column]:
    """What reads each target but the attributes."""
    granted = CONSENT.fields["granted"]
    columns = {name: _field(shape, name, fill, context) for name, fill in shape.fields.items()}
    columns |= {
        sign(kind): Column(fill, _identity_reader(kind), context, alone=True) for kind, fill in shape.identities.items()
    }
    columns |= {f"consents.{channel}": Column(fill, granted, context) for channel, fill in shape.consents.items()}
    return columns if shape.tags is None else {**columns, "tags": Column(shape.tags, _read_tags, context)}


def _field(shape: Shape, name: str, fill: Fill, context: Context) -> Column:
    """Of a field that is asked about, the value; of others, what COPY takes."""
    reader = CUSTOMER.fields[name]
    if name in shape.asked:
        plain = plain_mobiles if name == "phone" and context.country == "CN" else None
        return Column(fill, reader, context, alone=name in _ALONE, plain=plain)
    copying, nothing = (copied_folded, NO_TEXT) if f"{name}_folded" in customers.c else (copied, NULL)

    def read(value: Any, context: Context) -> str:
        return copying(reader(value, context))

    return Column(fill, read, context, nothing=nothing)


def sign(kind: str) -> str:
    """The target that says the identity of `kind`."""
    return kind if kind in ("external_id", "email") else f"identities.{kind}"


def texts_of(name: str, column: Sequence[str | None]) -> list[str]:
    """A field's values as its columns."""
    if name in _PLAIN:
        return [NO_TEXT if value is None else f"{value}\t{value}" for value in column]
    return list(map(copied_folded if f"{name}_folded" in customers.c else copied, column))


def taken(value: Any, _: Context) -> Any:
    return value


def _read_tags(value: Any, context: Context) -> Any:
    """No tags at all is something to say: that there are none."""
    tags = read_texts(value, context)
    if not tags:
        raise ValueError("there are no tags")
    return copied_lists(tags)


def attribute_reader(key: str, kinds: dict[str, Kind]) -> Reader:
    """The attribute and its folded form, as members of JSON objects."""

    def read(value: Any, context: Context) -> tuple[str, str | None] | None:
        plain = read_attribute(key, value, kinds, context)
        if plain is None:
            return None
        folded = None if kinds[key] in _UNFOLDED else folded_attributes({key: plain}).get(key)
        return as_member(key, plain), None if folded is None else as_member(key, folded)

    return read


def _identity_reader(kind: str) -> Reader:
    def read(value: Any, context: Context) -> Any:
        word = read_identity_kind(kind, context)
        text = IDENTITY.fields["value"](value, context)
        address = None if text is None else read_address(kind, text, context)
        if word != kind or address is None:
            raise ValueError("is no identity of this kind")
        return address

    return read

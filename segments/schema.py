"""What a rule can ask about: the customers' fields, the registered sources, channels, and custom attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.attributes import attribute_kinds
from customers.fields import FIELDS
from customers.models import customers
from runtime.registry import ChannelKind, Field, Kind, Source, channel_kinds, sources
from segments.attributes import attribute_field

ATTRIBUTES = "attributes."
REACHABLE = "reachable."

PERSON = Source("customers", customers, customers.c.id, FIELDS, attributes=customers.c.attributes)
"""The customers themselves, as if they were records: what a field outside `where` is asked of."""


@dataclass(frozen=True)
class Schema:
    """Everything that a field or a `has` may name. `attributes`: the kind of each defined custom attribute."""

    sources: Mapping[str, Source] = field(default_factory=sources)
    channels: Mapping[str, ChannelKind] = field(default_factory=channel_kinds)
    attributes: Mapping[str, Kind] = field(default_factory=dict)

    def kind_of(self, source: Source, name: str) -> Kind | None:
        """The kind of a field of `source` (`PERSON` for the customer), None if there is no such field."""
        if source is PERSON and name.startswith(REACHABLE):
            return Kind.YES_NO if name.removeprefix(REACHABLE) in self.channels else None
        found = self.field_of(source, name)
        return found.kind if found else None

    def field_of(self, source: Source, name: str) -> Field | None:
        """The column behind a field; `reachable.…` has none."""
        if name.startswith(ATTRIBUTES) and source.attributes is not None:
            return self._attribute(source, name.removeprefix(ATTRIBUTES))
        return source.fields.get(name)

    def _attribute(self, source: Source, key: str) -> Field | None:
        kind = self.attributes.get(key)
        if kind is None and source is not PERSON and key:
            kind = Kind.CODE  # the raw facts of an event have no definition: text, as it came
        return attribute_field(source, key, kind) if kind else None


async def load_schema(conn: AsyncConnection) -> Schema:
    """The schema with the workspace's custom attributes."""
    return Schema(attributes=await attribute_kinds(conn))

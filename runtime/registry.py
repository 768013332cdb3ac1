"""What rooms tell each other without importing each other.

Each room describes its records as `Source`s and each channel its kind of address; `hearth.install()` calls every room's
`install()` once a process. Segments, the API and the console read from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Table

from runtime.fading import Fading
from runtime.settings import Settings


class Kind(StrEnum):
    """The type of a field, which decides its operators and the values that it takes (RULES.md)."""

    TEXT = "text"
    CODE = "code"  # text compared exactly: codes, numbers, serials
    NUMBER = "number"
    DATE = "date"
    INSTANT = "instant"
    YES_NO = "yes_no"
    LIST = "list"
    RANK = "rank"


@dataclass(frozen=True)
class Field:
    """One thing that a rule can ask: its type, its column and, for text, the column that holds it folded.

    `fading`: a number that fades by itself; `column` then holds the instant that it is stored as (runtime/fading.py).
    """

    name: str
    kind: Kind
    column: ColumnElement[Any]
    folded: ColumnElement[Any] | None = None
    fading: Fading | None = None


@dataclass(frozen=True)
class Source:
    """Records that belong to people: `table`, joined on `person` (the customer's id), with typed fields.

    `where` narrows the records unless a rule asks for one of `unless_asked` (machine events). `attributes`: the JSONB
    column behind `attributes.<key>`, if any.
    """

    name: str
    table: Table
    person: ColumnElement[Any]
    fields: Mapping[str, Field]
    where: ColumnElement[bool] | None = None
    unless_asked: frozenset[str] = field(default_factory=frozenset)
    attributes: ColumnElement[Any] | None = None


@dataclass(frozen=True)
class ChannelKind:
    """What others must know of a channel: its name, and the kind of contact address that it needs."""

    name: str
    address_kind: str


_sources: dict[str, Source] = {}
_channels: dict[str, ChannelKind] = {}
_configured: dict[str, Callable[[Settings], object]] = {}


def register_source(source: Source) -> None:
    """Make `source` known; registering the same name again replaces it (install may run twice)."""
    _sources[source.name] = source


def register_channel(kind: ChannelKind) -> None:
    _channels[kind.name] = kind


def register_configuration(name: str, read: Callable[[Settings], object]) -> None:
    """Let `read` look at the settings at every start, so that a bad one stops it. `read` raises BadSetting."""
    _configured[name] = read


def check_configurations(settings: Settings) -> None:
    """Raises BadSetting naming the first setting that a room cannot use."""
    for read in _configured.values():
        read(settings)


def sources() -> Mapping[str, Source]:
    return _sources


def channel_kinds() -> Mapping[str, ChannelKind]:
    return _channels


def text_fields(table: Table, *names: str) -> dict[str, Field]:
    """Fields of kind text over columns that `runtime.database.folded_text` made."""
    return {name: Field(name, Kind.TEXT, table.c[name], table.c[f"{name}_folded"]) for name in names}


def fields(table: Table, kind: Kind, *names: str) -> dict[str, Field]:
    """Fields of one kind over the columns of the same name."""
    return {name: Field(name, kind, table.c[name]) for name in names}

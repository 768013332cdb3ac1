"""One card of the campaign form: its fields as text, as a browser shows and sends them.

A new option: a field of the section that it belongs to, a row in its template, its name in OPTIONS and PATHS, a line in
`options` and in `fill`, and what it means for people in `say`. Nothing else has to be edited.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from runtime.settings import Settings

Offered = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """Every field is a `str`, or a `tuple[str, ...]` where several may be sent under one name; its default is what a
    new campaign has. A tick box that was not ticked is not sent, so the default of one is "".

    `PATHS`: where the API names a culprit → the field that shows it; a path covers those below it. `OPTIONS`: the
    options of a campaign that this section speaks for; others of a draft stay as they are.
    """

    NAME: ClassVar[str] = ""  # its template is campaigns/form/NAME.html: `part`, `offered`, `errors`, `form` are there
    PATHS: ClassVar[Mapping[str, str]] = {}
    OPTIONS: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, sent: FormData) -> Self:
        """What the browser sent; a field that it did not send has its default."""
        values: dict[str, Any] = {}
        for one in fields(cls):
            if isinstance(one.default, tuple):
                values[one.name] = tuple(str(value) for value in sent.getlist(one.name) if value)
            elif one.name in sent:
                values[one.name] = str(sent[one.name]).strip()
        return cls(**values)

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        """The section that shows a draft."""
        return cls()

    def columns(self, settings: Settings) -> dict[str, Any]:
        """Its part of the body that the API would take, but for the options. Raises Invalid."""
        return {}

    def options(self) -> dict[str, Any]:
        """The options as the API would take them; None: as if it were not given. Raises Invalid."""
        return {}

    async def offers(self, conn: AsyncConnection) -> Offered:
        """What its template lets people choose from."""
        return {}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        """What of it people should know before they save: whole sentences in their language, none where all is usual.
        Must bear whatever is in the fields."""
        return []

    @property
    def usual(self) -> bool:
        """As in a new campaign: such a section can be folded away."""
        return self == type(self)()

    @classmethod
    def names(cls) -> frozenset[str]:
        """Of its fields."""
        return frozenset(one.name for one in fields(cls))

    def wrong(self, errors: Mapping[str, str]) -> bool:
        """Something is wrong with one of its fields."""
        return not self.names().isdisjoint(errors)


def shown(value: float | None) -> str:
    """A number as a field shows it."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def whole(path: str, text: str) -> int:
    """An id. Raises Invalid at `path`."""
    if not text.isdecimal() or len(text) > 18:
        raise Invalid(Problem(path, f"{text[:40]!r} is not an id"))
    return int(text)


def number(path: str, text: str) -> float | None:
    """None for an empty field. Raises Invalid at `path`."""
    try:
        return float(text) if text else None
    except ValueError:
        raise Invalid(Problem(path, f"{text[:40]!r} is not a number")) from None

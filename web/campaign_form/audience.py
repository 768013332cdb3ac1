"""Whom: a segment or an uploaded list, and who is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.store import Campaign
from runtime.settings import Settings
from segments.models import audiences, segments
from web.campaign_form.section import Offered, Section, shown, whole
from web.i18n import _
from web.view import number


@dataclass(frozen=True)
class Audience(Section):
    NAME: ClassVar[str] = "audience"
    PATHS: ClassVar = {"segment_id": "segment_id", "audience_id": "audience_id", "exclude_segment_ids": "exclude"}

    segment_id: str = ""
    audience_id: str = ""
    exclude: tuple[str, ...] = ()

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        excluded = tuple(str(one) for one in found.exclude_segment_ids)
        return cls(shown(found.segment_id), shown(found.audience_id), excluded)

    def columns(self, settings: Settings) -> dict[str, Any]:
        """Both, where a segment and a list are chosen: which is meant is not for the form to say."""
        given = {name: whole(name, value) for name in ("segment_id", "audience_id") if (value := getattr(self, name))}
        return {**given, "exclude_segment_ids": [whole("exclude_segment_ids", one) for one in self.exclude]}

    async def offers(self, conn: AsyncConnection) -> Offered:
        """`sized`: the segments with how many were in each when it was last counted."""
        columns = (*segments.c["id", "name"], segments.c["count"].label("people"))
        found = (await conn.execute(select(*columns).order_by(segments.c.name))).all()
        return {
            "segments": [(str(row.id), row.name) for row in found],
            "sized": [(str(row.id), _sized(row.name, row.people)) for row in found],
            "lists": await self._lists(conn),
        }

    async def _lists(self, conn: AsyncConnection) -> list[tuple[str, str]]:
        """The uploaded lists that are matched (and the chosen one, whatever its state), with the size of each."""
        chosen = int(self.audience_id) if self.audience_id.isdecimal() and len(self.audience_id) < 19 else None
        known = or_(audiences.c.state == "done", audiences.c.id == chosen)
        rows = await conn.execute(select(*audiences.c["id", "name", "matched"]).where(known).order_by(audiences.c.name))
        return [(str(row.id), _sized(row.name, row.matched)) for row in rows]

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        chosen = _named(offered["segments"], [self.segment_id]) or _named(offered["lists"], [self.audience_id])
        left_out = _named(offered["segments"], self.exclude)
        if chosen and left_out:
            return [_("It goes to “%(name)s”, but not to “%(others)s”.", name=chosen, others=left_out)]
        return [_("It goes to “%(name)s”.", name=chosen)] if chosen else []


def _sized(name: str, people: int | None) -> str:
    return name if people is None else f"{name} ({number(people)})"


def _named(choices: Iterable[tuple[str, str]], ids: Iterable[str]) -> str:
    names = dict(choices)
    return "”, “".join(names[one] for one in ids if one in names)

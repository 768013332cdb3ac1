"""Where click n of a run goes: the run's own link table, frozen with it, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy import select

from runtime.database import Database
from runtime.errors import NotFound
from tracking.models import link_tables

MOST_RUNS = 1_000


class LinkTables:
    """A cache of link tables; they never change, so it never asks again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables: OrderedDict[int, Sequence[str]] = OrderedDict()

    async def template(self, run_id: int, link: int) -> str:
        """The address of link number `link`, with Jinja where it is personal. Raises NotFound where there is none."""
        return _nth(self._tables.get(run_id) or await self._load(run_id), link)

    def known(self, run_id: int, link: int) -> str | None:
        """The same without a look into the database; None where the table is not in memory."""
        links = self._tables.get(run_id)
        return None if links is None else _nth(links, link)

    async def _load(self, run_id: int) -> Sequence[str]:
        async with self._database.connect() as conn:
            found = await conn.scalar(select(link_tables.c.links).where(link_tables.c.run_id == run_id))
        if found is None:
            return ()
        self._tables[run_id] = tuple(found)
        if len(self._tables) > MOST_RUNS:
            self._tables.popitem(last=False)
        return self._tables[run_id]


def _nth(links: Sequence[str], link: int) -> str:
    if not 0 <= link < len(links):
        raise NotFound("this link is not one of ours, or it was cut off; open it from the message again")
    return links[link]

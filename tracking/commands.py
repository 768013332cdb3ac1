"""`hearth db recount`."""

from __future__ import annotations

from dataclasses import asdict

import click

from runtime.house import House
from runtime.terminal import answer, in_house
from tracking import recount as folds


@click.group()
def db() -> None:
    """The database: upgrade, check, rebuild what is counted."""


@db.command()
def recount() -> None:
    """Rebuild what is counted (messages, activity, orders) from the facts, and say how many rows differed."""

    async def rebuilt(house: House) -> folds.Differences:
        async with house.database.begin() as conn:
            return await folds.recount(conn)

    found = in_house(rebuilt)
    words = ", ".join(f"{count} of {name}" for name, count in asdict(found).items())
    answer({**asdict(found), "total": found.total}, f"rows that differed: {words}" if found.total else "no difference")


commands: list[click.Command] = [db]

"""`hearth db recount`, `hearth events`, `hearth returns`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click

from channels.email.returns import read_return
from runtime.clock import utc_now
from runtime.house import House
from runtime.process import live
from runtime.terminal import answer, in_house
from tracking import recount as folds
from tracking.archive import Month, archive, months
from tracking.return_desk import take_returns


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


@click.group()
def events() -> None:
    """What came of messages, month by month."""


@events.command("months")
def events_months() -> None:
    """List the months of events, with their rows (estimated) and size."""

    async def listed(house: House) -> list[Month]:
        async with house.database.connect() as conn:
            return await months(conn)

    found = in_house(listed)
    lines = (f"{month.name:8}{month.rows:14,} rows{month.megabytes:12,.1f} MB" for month in found)
    answer({"months": [asdict(month) for month in found]}, "\n".join(lines))


@events.command("archive")
@click.argument("month", type=click.DateTime(["%Y-%m"]), metavar="MONTH")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def events_archive(month: datetime, file: Path) -> None:
    """Write the events of a MONTH that is over (2026-11, of UTC) to FILE (CSV, gzipped). They stay in the database."""

    async def archived(house: House) -> int:
        async with house.database.connect() as conn:
            return await archive(conn, month, file, utc_now())

    count = in_house(archived)
    answer({"month": f"{month:%Y-%m}", "events": count, "file": str(file)}, f"{count:,} events written to {file}")


@click.group()
def returns() -> None:
    """What comes back to HEARTH_RETURN_PATH: bounces, complaints, replies."""


@returns.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=2525, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option("--lmtp", is_flag=True, help="Speak LMTP, behind a mail server of your own.")
def listen(host: str, port: int, lmtp: bool) -> None:
    """Take mails that come back, over SMTP; each is answered once what it says is written."""

    async def work(house: House) -> None:
        await take_returns(house, host, port, lmtp=lmtp)

    live("returns", work)
    answer({"state": "stopped"}, "stopped listening for what comes back")


@returns.command()
@click.argument("file", type=click.File("rb"))
def read(file: BinaryIO) -> None:
    """Say what a mail that came back (FILE, - for standard input) is read as; changes nothing."""
    found = read_return(file.read())
    said = {**asdict(found), "at": found.at and found.at.isoformat()}
    answer(said, "\n".join(f"{name}: {value}" for name, value in said.items() if value))


commands: list[click.Command] = [db, events, returns]

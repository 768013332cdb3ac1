"""`hearth db recount`, `hearth events`, `hearth returns`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from channels.email.returns import is_mail, read_return
from runtime.clock import utc_now
from runtime.errors import Invalid, Problem
from runtime.house import House
from runtime.process import live
from runtime.terminal import answer, in_house
from tracking import recount as folds
from tracking.archive import Month, archive, months
from tracking.retention import PutAway, horizon, put_away, would_leave
from tracking.return_doors import read_mailbox, serve, take_returns


@click.group()
def db() -> None:
    """The database: upgrade, check, rebuild what is counted."""


@db.command()
@click.option("--campaign", "campaign_id", type=int, help="Only the messages of this campaign.")
def recount(campaign_id: int | None) -> None:
    """Rebuild what is counted (messages, activity, orders) from the facts, and say how many rows differed."""

    async def rebuilt(house: House) -> folds.Differences:
        async with house.database.begin() as conn:
            if campaign_id is not None:
                return folds.Differences(await folds.recount_campaign(conn, campaign_id), 0, 0)
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
    """Write the events of a MONTH that is over (2026-11, of UTC) to FILE (CSV, gzipped). They stay in the database.

    People are named by codes, which are in the database alone and go with those who are erased."""

    async def archived(house: House) -> int:
        return await archive(house.database, month, file, utc_now())

    count = in_house(archived)
    answer({"month": f"{month:%Y-%m}", "events": count, "file": str(file)}, f"{count:,} events written to {file}")


@events.command("retain")
@click.option("--months", "kept", type=click.IntRange(1, 1200), help="Whole months to keep.  [HEARTH_EVENTS_MONTHS]")
@click.option(
    "--archive", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what leaves.  [HEARTH_EVENTS_ARCHIVE]",
)  # fmt: skip
@click.option("--delete", "delete", is_flag=True, help="Write no files: what leaves is gone.")
@click.option("--dry-run", is_flag=True, help="Say what would leave, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def events_retain(kept: int | None, folder: Path | None, delete: bool, dry_run: bool, yes: bool) -> None:
    """Let events older than some months leave the database: into files, or for good.

    Counts, reports, scores and the links of old mails stay as they are, and so do unsubscribes, complaints and what led
    to an order. Timelines and rules about events no longer know what left.
    """
    if folder is not None and delete:
        raise click.UsageError("--archive and --delete: choose one")

    async def planned(house: House) -> Plan:
        own = house.settings
        if (months_kept := kept or own.events_months) is None:
            raise click.UsageError("say how many months to keep: --months, or HEARTH_EVENTS_MONTHS")
        before, place = horizon(utc_now(), months_kept), None if delete else (folder or own.events_archive)
        async with house.database.connect() as conn:
            return Plan(before, place and place.absolute(), await would_leave(conn, before))

    plan = in_house(planned)
    if dry_run or not plan.events:
        answer(plan.told("would_leave"), str(plan) + ("\ndry run: nothing was changed" if dry_run else ""))
        return
    if not yes:
        click.echo(str(plan), err=True)
        click.confirm("Go on?", abort=True, err=True)

    async def done(house: House) -> list[PutAway]:
        return await put_away(house.database, plan.before, plan.folder, told=_tell)

    left = in_house(done)
    count = sum(month.events for month in left)
    answer(Plan(plan.before, plan.folder, left).told("left"), f"{count:,} events left the database")


@dataclass(frozen=True)
class Plan:
    """What leaves, from before when, where to."""

    before: datetime
    folder: Path | None
    months: list[PutAway]

    @property
    def events(self) -> int:
        return sum(month.events for month in self.months)

    def told(self, word: str) -> dict[str, Any]:
        months = [{**asdict(month), "file": month.file and str(month.file)} for month in self.months]
        return {"before": f"{self.before:%Y-%m}", "folder": self.folder and str(self.folder), word: months}

    def __str__(self) -> str:
        where = "are DELETED" if self.folder is None else f"go to {self.folder}"
        lines = [f"{month.month:8}{month.events:14,} events" for month in self.months if month.events]
        head = f"{self.events:,} events from before {self.before:%Y-%m} {where}"
        return "\n".join([head, *lines]) if lines else f"no events from before {self.before:%Y-%m} are left to go"


def _tell(month: PutAway) -> None:
    click.echo(f"{month.month}: {month.events:,} events" + (f" to {month.file}" if month.file else ""), err=True)


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


@returns.command("serve")
def serve_returns() -> None:
    """Take what comes back as the settings say: HEARTH_RETURNS_LISTEN, HEARTH_RETURNS_IMAP_URL. `hearth up` does so
    too."""
    live("returns", serve)
    answer({"state": "stopped"}, "stopped taking what comes back")


@returns.command()
def poll() -> None:
    """Read the mailbox HEARTH_RETURNS_IMAP_URL once."""
    count = in_house(read_mailbox)
    answer({"read": count}, f"{count:,} mails read")


@returns.command()
@click.argument("file", type=click.File("rb"))
def read(file: BinaryIO) -> None:
    """Say what a mail that came back (FILE, - for standard input) is read as; changes nothing."""
    mail = file.read()
    if not is_mail(mail):
        raise Invalid(Problem(file.name, "is no mail: it has no header lines; save the mail with its headers (.eml)"))
    found = read_return(mail)
    said = {**asdict(found), "at": found.at and found.at.isoformat()}
    answer(said, "\n".join(f"{name}: {value}" for name, value in said.items() if value))


commands: list[click.Command] = [db, events, returns]

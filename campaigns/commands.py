"""`hearth campaign …`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns import halt, launch, report, store
from campaigns.models import campaigns
from runtime.clock import utc_now
from runtime.house import House
from runtime.terminal import answer, in_house

_SHOWN = ("audience", "sent", "opened", "clicked", "skipped", "failed", "queued")


@click.group()
def campaign() -> None:
    """Campaigns: what goes out, when, and what came of it."""


@campaign.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="The latest so many.")
def listing(limit: int) -> None:
    """List campaigns, the latest first."""

    async def found(house: House) -> list[dict[str, Any]]:
        async with house.database.connect() as conn:
            rows = await conn.execute(store.campaign_rows().order_by(campaigns.c.id.desc()).limit(limit))
            return await report.campaign_lines(conn, [store.campaign_of(row) for row in rows])

    lines = in_house(found)
    answer({"items": lines, "next": None}, _table(lines))


@campaign.command("show")
@click.argument("campaign_id", type=int, metavar="ID")
def show(campaign_id: int) -> None:
    """Show a campaign with its runs, counts, orders and revenue."""

    async def found(house: House) -> dict[str, Any]:
        async with house.database.connect() as conn:
            return await report.campaign_record(conn, campaign_id)

    record = in_house(found)
    answer(record, _shown(record))


def _verb(name: str, help_text: str, act: Callable[[AsyncConnection, House, int], Awaitable[None]]) -> None:
    @campaign.command(name, help=help_text)
    @click.argument("campaign_id", type=int, metavar="ID")
    def verb(campaign_id: int) -> None:
        async def acted(house: House) -> dict[str, Any]:
            async with house.database.begin() as conn:
                await act(conn, house, campaign_id)
            async with house.database.connect() as conn:
                return await report.campaign_record(conn, campaign_id)

        record = in_house(acted)
        answer(record, f"campaign {campaign_id} ({record['name']}) is {record['state']}")


async def _launch(conn: AsyncConnection, house: House, campaign_id: int) -> None:
    await launch.launch(conn, campaign_id, settings=house.settings, now=utc_now(), by="hearth campaign launch")


async def _pause(conn: AsyncConnection, _house: House, campaign_id: int) -> None:
    await halt.pause(conn, campaign_id, now=utc_now())


async def _resume(conn: AsyncConnection, _house: House, campaign_id: int) -> None:
    await launch.resume(conn, campaign_id, now=utc_now())


async def _cancel(conn: AsyncConnection, _house: House, campaign_id: int) -> None:
    await halt.cancel(conn, campaign_id, now=utc_now())


_verb("launch", "Approve a draft and start its schedule (none: now).", _launch)
_verb("pause", "Stop until `resume`: nothing more goes out two seconds later.", _pause)
_verb("resume", "Let a paused campaign go on.", _resume)
_verb("cancel", "End a campaign for good: what has not gone out never will.", _cancel)


def _table(lines: list[dict[str, Any]]) -> str:
    table = Table("id", "name", "state", *_SHOWN, box=None, header_style="bold")
    for line in lines:
        table.add_row(str(line["id"]), Text(line["name"]), line["state"], *(str(line["counts"][key]) for key in _SHOWN))
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()


def _shown(record: dict[str, Any]) -> str:
    counts = [f"{name} {number}" for name, number in record["counts"].items() if number]
    skipped = [f"{reason} {number}" for reason, number in record["skipped_reasons"].items()]
    lines = [
        f"campaign {record['id']} ({record['name']}) is {record['state']}",
        f"  {record['pause_reason']}" if record["pause_reason"] else "",
        f"  {', '.join(counts) or 'no messages yet'}",
        f"  skipped: {', '.join(skipped)}" if skipped else "",
        f"  orders {record['orders']}, revenue {record['revenue']}",
        *(f"  run {run['id']} of {run['occurrence']:%Y-%m-%d %H:%M %Z}: {run['state']}" for run in record["runs"]),
        *(f"    {text}" for run in record["runs"] for text in (run["note"], run["error"]) if text),
        *(f"  missed: {due:%Y-%m-%d %H:%M %Z}" for due in record["missed"]),
    ]
    return "\n".join(line for line in lines if line)


commands: list[click.Command] = [campaign]

"""The report of a campaign and the scores of the salespeople, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from demo.api import Api, Record

PEOPLE = ("opened", "clicked", "unsubscribed", "complained")
MACHINES = ("machine_opened", "machine_clicked")


def campaign_report(campaign: Record) -> Group:
    """Who was meant, who got it, who did not and why, and what came of it."""
    counts = campaign["counts"]
    table = Table(title=escape(campaign["name"]), title_justify="left", show_header=False, min_width=60)
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right", style="dim")
    reached = counts["sent"]
    table.add_row("audience", f"{counts['audience']:,}", "")
    table.add_row("sent", f"{reached:,}", _share(reached, counts["audience"]))
    table.add_row("skipped", f"{counts['skipped']:,}", _share(counts["skipped"], counts["audience"]))
    for reason, count in sorted(campaign["skipped_reasons"].items(), key=lambda entry: -entry[1]):
        table.add_row(f"  {escape(reason)}", f"{count:,}", "", style="dim")
    for state in ("bounced", "failed", "unknown", "cancelled"):
        if counts[state]:
            table.add_row(state, f"{counts[state]:,}", _share(counts[state], counts["audience"]))
    table.add_section()
    for name in PEOPLE:
        table.add_row(name, f"{counts[name]:,}", _share(counts[name], reached))
    for name in MACHINES:
        table.add_row(f"[dim]{name.replace('_', ' ')}, counted for nothing[/dim]", f"{counts[name]:,}", "")
    table.add_section()
    table.add_row("orders", f"{campaign['orders']:,}", _share(int(campaign["orders"]), reached))
    table.add_row("revenue", f"¥{Decimal(campaign['revenue']):,.2f}", "")
    return Group(table, balance(counts))


def balance(counts: dict[str, int]) -> str:
    """The sum that must hold, said in words; an error in it is said as loudly."""
    rest = counts["audience"] - counts["sent"] - counts["skipped"]
    if rest == 0:
        sums = f"{counts['sent']:,} + {counts['skipped']:,} = audience {counts['audience']:,}"
        return f"[green]sent + skipped = {sums}[/green]"
    others = {name: counts[name] for name in ("queued", "sending", "failed", "cancelled", "unknown") if counts[name]}
    return f"[yellow]sent + skipped is {rest:,} short of the audience: {others}[/yellow]"


async def scores(api: Api, period: str) -> list[Record]:
    """Each salesperson with the score of `period` (`2026-11`), best first."""
    found = []
    async for person in api.everything("/salespeople"):
        score = await api.get(f"/salespeople/{person['id']}/score", period=period)
        found.append({**person, **score, "name": person["name"]})
    return sorted(found, key=lambda one: -float(one["score"] or 0))


def scores_table(people: Sequence[Record], period: str) -> Table:
    """One line a salesperson: the score and the value of each part."""
    parts = [part["name"] for part in people[0]["parts"]] if people else []
    table = Table(title=f"Salespeople, {period}", title_justify="left", box=SIMPLE_HEAD, padding=0)
    table.add_column("#", justify="right")
    table.add_column("who", no_wrap=True)
    for part in parts:
        table.add_column(part, justify="right", overflow="fold")
    table.add_column("score", justify="right", style="bold", no_wrap=True)
    for place, one in enumerate(people, 1):
        values = [_value(part) for part in one["parts"]]
        table.add_row(
            str(place), f"{escape(one['name'])} [dim]{escape(one['code'])}[/dim]", *values, f"{float(one['score']):.1f}"
        )
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _value(part: Record) -> str:
    """As the console shows it: against what matched households bring, in money, or as a share."""
    if part["value"] is None:
        return "–"
    number = float(part["value"])
    if part["method"] == "matched":
        return f"× {number:.2f}"
    return f"¥{number:,.0f}" if part["name"] == "margin" else f"{number:.0%}"

"""`make demo`: a dealer in Xi'an, the loop played on it, the report, and the console to look around in."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import hearth
from demo import books, hall, loop, report
from demo.accounts import Logins, make_api_token, make_logins
from demo.api import Api, api_at
from demo.dealer import make_dealer
from demo.steps import console, step
from demo.story import TRADE_IN, plans
from runtime.clock import local_date, utc_now
from runtime.errors import HearthError
from runtime.house import House, open_house
from runtime.settings import BadSetting, Settings, load_settings

HOST = "127.0.0.1"  # the demo is for the machine that it runs on
HOUSEHOLDS = 5_000
DEFAULT_PORT = 8000


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 failed, 2 misused."""
    asked = _asked(arguments)
    try:
        serve, reset = _yes("SERVE", "yes"), _yes("RESET", "no")
        settings = load_settings({**os.environ, "HEARTH_SMTP_URL": ""})  # never a real mail server
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with hall.alone(settings.data_dir):
            asyncio.run(run(settings, households=asked.households, port=asked.port, serve=serve, reset=reset))
    except HearthError as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def run(settings: Settings, *, households: int, port: int | None, serve: bool, reset: bool) -> None:
    """Everything, from an empty folder to the report; with `serve` then the console until somebody stops it."""
    hearth.install()
    if reset:
        with step("Start over"):
            await books.wipe(settings)
    async with open_house(settings, upgrade=True) as house:
        async with house.database.begin() as conn:
            today = local_date(utc_now(), settings.timezone)
            progress = await books.take_up(conn, today, households)
            token = await make_api_token(conn, utc_now())
        port = hall.free_port(HOST, port or urlsplit(settings.public_url).port or DEFAULT_PORT)
        base = f"http://{HOST}:{port}"
        log = settings.data_dir / "demo-server.log"
        async with (
            hall.mailbox(house.database, HOST) as smtp_url,
            hall.running(_environ(settings, base, smtp_url), HOST, port, log),
            api_at(base, token) as api,
        ):
            progress = await _records(api, house, progress)
            async with house.database.begin() as conn:
                logins = await make_logins(conn, settings.data_dir / "demo-login.txt", utc_now())
            await _loop(api, house, base, progress)
            await _show(api, logins, base)
            if serve:
                await _until_stopped()
            else:
                console.print("\nNothing is served now: [bold].venv/bin/hearth up[/bold] serves it.")


async def _records(api: Api, house: House, progress: books.Progress) -> books.Progress:
    """Make the dealer and bring in its books, unless an earlier run has."""
    if not progress.records:
        with step(f"A dealer in Xi'an with {progress.households:,} households") as said:
            dealer = make_dealer(progress.day, progress.households)
            await books.post_records(api, dealer, said)
            said.note = ", ".join(f"{len(getattr(dealer, kind)):,} {kind}" for kind in books.POSTED)
        for kind, path in books.write_files(dealer, house.settings.data_dir / "demo").items():
            with step(f"Import {kind.replace('_', ' ')}") as said:
                await books.import_file(api, kind, path, said)
        progress = replace(progress, records=True)
        async with house.database.begin() as conn:
            await books.settle(conn)
            await books.note(conn, progress)
    with step("Records") as said:
        async with house.database.connect() as conn:
            counts = await books.sizes(conn)
        said.note = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items())
    return progress


async def _loop(api: Api, house: House, base: str, progress: books.Progress) -> None:
    """Segments, campaigns, and what recipients do, as far as earlier runs have not done it."""
    planned = plans(utc_now())
    with step("Segments") as said:
        segments = await loop.make_segments(api)
        said.note = f"{len(segments)}, such as {planned[1].segment!r}"
    with step("Campaigns") as said:
        campaigns = await loop.make_campaigns(api, planned, segments)
        said.note = f"{len(campaigns)}"
    for plan in planned:
        campaign = campaigns[plan.name]
        if plan.launched and campaign["state"] == "draft":
            campaign = await loop.launch(api, campaign)
        if not plan.played or campaign["state"] == "draft":
            continue
        with step(f"Send {plan.name}") as said:
            campaign = await loop.wait_until_sent(api, campaign, said)
        if plan.name in progress.played:
            continue
        with step(f"Recipients of {plan.name}") as said:
            said.note = await loop.act(api, house, base, campaign, plan.sells)
        progress = replace(progress, played=(*progress.played, plan.name))
        async with house.database.begin() as conn:
            await books.note(conn, progress)


async def _show(api: Api, logins: Logins, base: str) -> None:
    """The report of the main campaign, the scores, and where to look around."""
    period = f"{datetime.now().astimezone():%Y-%m}"
    campaign = (await api.named("/campaigns"))[TRADE_IN]
    console.print()
    console.print(report.campaign_report(await api.get(f"/campaigns/{campaign['id']}")))
    console.print()
    console.print(report.scores_table(await report.scores(api, period), period))
    console.print(f"\nConsole: [bold]{base}/[/bold]")
    for email in logins.emails:
        console.print(f"  {email}  [bold]{logins.password}[/bold]", highlight=False)
    console.print(f"  [dim]The password stands in {logins.path} as well.[/dim]")


async def _until_stopped() -> None:
    console.print("\nServing until Ctrl-C …")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    console.print("Stopping …")


def _environ(settings: Settings, base: str, smtp_url: str) -> Mapping[str, str]:
    """The environment of `hearth up`: ours, mail to the demo mailbox, and links that lead to this demo."""
    environ = {**os.environ, "HEARTH_SMTP_URL": smtp_url, "HEARTH_DATA_DIR": str(settings.data_dir)}
    if settings.public_url.startswith((f"http://{HOST}", "http://localhost")):
        environ["HEARTH_PUBLIC_URL"] = base
    return environ


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--households", type=int, default=HOUSEHOLDS, help="size of the dealer (%(default)s)")
    parser.add_argument("--port", type=int, help="of the console (that of HEARTH_PUBLIC_URL, or the next free one)")
    parsed = parser.parse_args(arguments)
    if not 1 <= parsed.households <= 100_000:
        parser.error("--households: from 1 to 100000")
    return parsed


def _yes(name: str, default: str) -> bool:
    value = (os.environ.get(name) or default).lower()
    if value not in ("yes", "no"):
        raise BadSetting(f"{name}: yes or no, not {value!r}")
    return value == "yes"


if __name__ == "__main__":
    sys.exit(main())

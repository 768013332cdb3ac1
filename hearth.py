"""The `hearth` command, and the one place that knows every room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import click

from runtime import process, terminal
from runtime.house import House

ROOMS = ("runtime", "customers", "segments", "channels", "tracking", "campaigns", "sales", "web")


def main() -> None:
    """The console script."""
    install()
    sys.exit(terminal.run(command_line(), sys.argv[1:], "hearth"))


def install() -> None:
    """Make every room's tables, sources, channels and jobs known; once in every process, and in the tests."""
    load_models()
    for module in _modules("install"):
        module.install()


def load_models() -> None:
    """Declare every room's tables on `runtime.database.metadata`."""
    for _ in _modules("models"):
        pass


def command_line() -> click.Group:
    """All rooms' commands as one."""
    group = click.Group("hearth", help="Hearth: campaigns for those who sell and look after home appliances.")
    terminal.join(group, [up, web])
    for module in _modules("commands"):
        terminal.join(group, module.commands)
    return group


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def up(host: str, port: int) -> None:
    """Run everything: database, web, worker and scheduler, the demo mailbox where no HEARTH_SMTP_URL is set, and what
    takes mails that come back where HEARTH_RETURNS_LISTEN or HEARTH_RETURNS_IMAP_URL is."""

    async def keep(house: House) -> None:
        await process.keep(house, _children(house, host, port))

    process.live("up", keep, upgrade=True)
    terminal.answer({"state": "stopped"}, "Hearth stopped")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
def web(host: str, port: int) -> None:
    """Run the web process: console, API, tracking and callbacks. Start as many as wanted."""
    from web.server import serve

    async def work(house: House) -> None:
        await serve(house, host, port)

    process.live("web", work)
    terminal.answer({"state": "stopped"}, "web stopped")


def _children(house: House, host: str, port: int) -> dict[str, list[str]]:
    from tracking.return_doors import opens_doors

    this = [sys.executable, __file__]
    children = {
        "web": [*this, "web", "--host", host, "--port", str(port)],
        "worker": [*this, "worker"],
        "scheduler": [*this, "scheduler"],
    }
    if house.settings.smtp_url is None:
        children["mailbox"] = [*this, "mailbox"]
    if opens_doors(house.settings):
        children["returns"] = [*this, "returns", "serve"]
    return children


def _modules(name: str) -> Iterator[ModuleType]:
    """The module `name` of each room that has one, in the order of the rooms."""
    for room in ROOMS:
        if find_spec(f"{room}.{name}") is not None:
            yield import_module(f"{room}.{name}")


if __name__ == "__main__":
    main()

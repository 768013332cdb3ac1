"""`hearth mailbox`."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from channels.email.mailbox import keep_mails
from runtime.house import House
from runtime.process import live
from runtime.settings import DEFAULT_SMTP_URL
from runtime.terminal import answer

_DEFAULT = urlsplit(DEFAULT_SMTP_URL)


@click.command()
@click.option("--host", default=_DEFAULT.hostname, show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=_DEFAULT.port, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on."
)
def mailbox(host: str, port: int) -> None:
    """Run the demo mailbox: a mail server that keeps every mail for the console and sends nothing on."""

    async def work(house: House) -> None:
        await keep_mails(house.database, host, port, house.stopping)

    live("mailbox", work)
    answer({"state": "stopped"}, "mailbox stopped")


commands: list[click.Command] = [mailbox]

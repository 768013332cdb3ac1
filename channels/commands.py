"""`hearth mailbox`, `hearth mail`."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import urlsplit

import click

from channels.email.dkim_keys import read_keys, txt_record
from channels.email.mailbox import keep_mails
from runtime.house import House
from runtime.process import live
from runtime.settings import DEFAULT_SMTP_URL, load_settings
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


@click.group()
def mail() -> None:
    """How mails go out."""


@mail.command()
def dkim() -> None:
    """Print the DNS records to publish for the keys in HEARTH_DKIM_KEYS, a line of a zone file each."""
    keyring = read_keys(load_settings().dkim_keys)
    records = [txt_record(key) for keys in keyring.keys.values() for key in keys]
    unsigned = "HEARTH_DKIM_KEYS is not set: mails leave unsigned, for the mail server to sign"
    answer([asdict(record) for record in records], "\n".join(record.zone_line for record in records) or unsigned)


commands: list[click.Command] = [mailbox, mail]

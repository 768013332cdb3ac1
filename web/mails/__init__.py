"""Mails that Hearth itself writes: a folder each, with subject.txt, body.txt, body.html and one function for their
context.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from channels.contract import Common, Personal
from channels.email.channel import EmailChannel
from runtime.settings import Settings
from web.i18n import raw_gettext, raw_ngettext

FOLDER = Path(__file__).parent
PARTS = ("subject.txt", "body.txt", "body.html")


@dataclass(frozen=True)
class SystemMail:
    subject: str
    text: str
    html: str


def render_mail(name: str, context: Mapping[str, Any]) -> SystemMail:
    """The mail of the folder `name`, in the language in use."""
    parts = [_environment().get_template(f"{name}/{part}").render(context) for part in PARTS]
    return SystemMail(" ".join(parts[0].split()), parts[1], parts[2])


async def send_mail(settings: Settings, to: str, mail: SystemMail, key: str, now: datetime) -> None:
    """Hand a mail to the house's mail server. `key` is the same for every try. Raises ChannelError."""
    channel = EmailChannel()
    common = Common(sender=settings.mail_from, headers={"Auto-Submitted": "auto-generated"})
    identity = hashlib.sha256(f"{key}\0{to}".encode()).hexdigest()[:32]
    personal = Personal(key=identity, to=to, text=mail.text, at=now, subject=mail.subject, html=mail.html)
    outgoing = channel.composer(common).compose(personal)
    async with channel.open(channel.configure(settings)) as sender:
        await sender.send(outgoing)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(raw_gettext, raw_ngettext, newstyle=True)  # type: ignore[attr-defined]
    return made

"""What: the sender, and a template or content written here. Templates are written with the same editor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData

from campaigns.models import templates
from campaigns.store import Campaign
from channels.email.address import parse_sender
from runtime.settings import Settings
from web.campaign_form.section import Offered, Section, shown, whole
from web.i18n import _


@dataclass(frozen=True)
class Writing(Section):
    """Subject and body, as the editor has them."""

    PATHS: ClassVar[Mapping[str, str]] = {
        "content": "source",
        "content.subject": "subject",
        "content.text": "text",
        "subject": "subject",
        "mjml": "source",
        "html": "source",
        "text": "text",
    }

    subject: str = ""
    format: str = "mjml"
    source: str = ""
    text: str = ""

    def content(self) -> dict[str, str]:
        """As the API would take it."""
        written = format_of(self.format, self.source)
        given = {"subject": self.subject, written: self.source, "text": self.text}
        return {name: value for name, value in given.items() if value}

    def with_content(self, content: Mapping[str, str]) -> Self:
        return replace(
            self,
            subject=content.get("subject", ""),
            format="html" if "html" in content else "mjml",
            source=content.get("html") or content.get("mjml") or "",
            text=content.get("text", ""),
        )


@dataclass(frozen=True)
class Content(Writing):
    NAME: ClassVar[str] = "content"
    PATHS: ClassVar[Mapping[str, str]] = {**Writing.PATHS, "from": "sender", "template_id": "template_id"}

    sender: str = ""
    template_id: str = ""

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        made = cls(sender=found.sender or "", template_id=shown(found.template_id))
        return made.with_content(found.content or {})

    def columns(self, settings: Settings) -> dict[str, Any]:
        """Raises Invalid for a sender that no mail can have, too: the draft would keep it until its launch."""
        if self.sender:
            parse_sender(self.sender)
        if self.template_id:
            return {"from": self.sender or None, "template_id": whole("template_id", self.template_id)}
        return {"from": self.sender or None, "content": self.content()}

    async def offers(self, conn: AsyncConnection) -> Offered:
        rows = await conn.execute(select(templates.c.id, templates.c.name).order_by(templates.c.name))
        return {"templates": [(str(row.id), row.name) for row in rows]}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        sender = self.sender or settings.mail_from
        template = dict(offered["templates"]).get(self.template_id)
        if template is not None:
            return [_("It says what the template “%(name)s” says, from %(sender)s.", name=template, sender=sender)]
        if not self.subject:
            return []
        return [_("Its subject is “%(subject)s”, from %(sender)s.", subject=self.subject, sender=sender)]


def format_of(chosen: str, source: str) -> str:
    """MJML is MJML, whatever is chosen: as HTML its tags would be sent as they are and show nothing."""
    return "mjml" if source.lstrip()[:5].lower() == "<mjml" else chosen


@dataclass(frozen=True)
class TemplateForm:
    """The form of a template."""

    name: str = ""
    writing: Writing = Writing()

    def body(self) -> dict[str, str]:
        """What the API would take."""
        return {"name": self.name, "channel": "email", **self.writing.content()}


def read_template_form(sent: FormData) -> TemplateForm:
    """What the browser sent."""
    return TemplateForm(str(sent.get("name", "")).strip(), Writing.read(sent))


def template_form_of(found: Mapping[str, Any]) -> TemplateForm:
    """The form that shows a template's row."""
    return TemplateForm(found["name"], Writing().with_content(found["content"]))

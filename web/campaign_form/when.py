"""When: at once, at a time, or again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from campaigns.store import Campaign
from runtime.errors import Invalid, Problem
from runtime.settings import Settings
from web.campaign_form.section import Offered, Section
from web.i18n import _
from web.view import moment

LOCAL = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True)
class When(Section):
    NAME: ClassVar[str] = "when"
    PATHS: ClassVar = {"schedule": "when", "schedule.at": "at", "schedule.cron": "cron", "schedule.timezone": "cron"}

    when: str = "now"
    at: str = ""
    cron: str = "0 10 * * 1"

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        schedule = found.schedule
        return cls(
            when="cron" if schedule.cron else "at" if schedule.at else "now",
            at=schedule.at.astimezone(settings.zone).strftime(LOCAL) if schedule.at else "",
            cron=schedule.cron or cls.cron,
        )

    def columns(self, settings: Settings) -> dict[str, Any]:
        return {"schedule": self._schedule(settings)}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        if self.when == "cron":
            return [_("It starts again and again (%(cron)s, %(zone)s).", cron=self.cron, zone=settings.timezone)]
        if self.when != "at":
            return [_("It starts at once, when launched.")]
        try:
            return [_("It starts on %(moment)s.", moment=moment(self._instant(settings)))]
        except Invalid:
            return []

    def _schedule(self, settings: Settings) -> dict[str, str] | None:
        if self.when == "cron":
            return {"cron": self.cron, "timezone": settings.timezone}
        return {"at": self._instant(settings).isoformat()} if self.when == "at" else None

    def _instant(self, settings: Settings) -> datetime:
        try:
            return datetime.strptime(self.at, LOCAL).replace(tzinfo=settings.zone)
        except ValueError:
            raise Invalid(Problem("schedule.at", "choose a day and a time")) from None

"""Respect: who is spared for now, and who is held out for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from campaigns.options import IGNORE
from campaigns.store import Campaign
from customers.topics import list_topics
from runtime.settings import Settings
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import _
from web.words import topic_name


@dataclass(frozen=True)
class Respect(Section):
    NAME: ClassVar[str] = "respect"
    PATHS: ClassVar = {
        "options.holdout_percent": "holdout",
        "options.one_per_household": "household",
        "options.frequency_cap": "ignore_cap",
        "options.quiet_hours": "ignore_quiet",
        "options.service_hold": "ignore_service",
        "options.topic": "topic",
    }
    OPTIONS: ClassVar[frozenset[str]] = frozenset(
        {"holdout_percent", "one_per_household", "frequency_cap", "quiet_hours", "service_hold", "topic"}
    )

    holdout: str = ""
    household: str = ""
    ignore_cap: str = ""
    ignore_quiet: str = ""
    ignore_service: str = ""
    topic: str = ""

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        options = found.options
        return cls(
            shown(options.holdout_percent or None),
            _ticked(options.one_per_household),
            _ticked(options.frequency_cap == IGNORE),
            _ticked(options.quiet_hours == IGNORE),
            _ticked(options.service_hold == IGNORE),
            options.topic or "",
        )

    def options(self) -> dict[str, Any]:
        return {
            "holdout_percent": number("options.holdout_percent", self.holdout),
            "one_per_household": True if self.household else None,
            "frequency_cap": IGNORE if self.ignore_cap else None,
            "quiet_hours": IGNORE if self.ignore_quiet else None,
            "service_hold": IGNORE if self.ignore_service else None,
            "topic": self.topic or None,
        }

    async def offers(self, conn: AsyncConnection) -> Offered:
        return {"topics": [(topic.key, topic_name(topic)) for topic in await list_topics(conn)]}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        said = [
            (self.household, _("Of each household one gets it.")),
            (self.ignore_cap, _("Who has had enough messages gets it all the same.")),
            (self.ignore_quiet, _("It goes out in quiet hours too.")),
            (self.ignore_service, _("Who waits for service gets it all the same.")),
            (self.holdout, _("%(share)s %% get nothing, for comparison.", share=self.holdout)),
        ]
        return [sentence for given, sentence in said if given]


def _ticked(whether: bool) -> str:
    return "yes" if whether else ""

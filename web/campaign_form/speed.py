"""Speed: how fast it may go out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from campaigns.store import Campaign
from runtime.settings import Settings
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import _


@dataclass(frozen=True)
class Speed(Section):
    NAME: ClassVar[str] = "speed"
    PATHS: ClassVar = {"options.rate_per_second": "rate"}
    OPTIONS: ClassVar[frozenset[str]] = frozenset({"rate_per_second"})

    rate: str = ""

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        return cls(rate=shown(found.options.rate_per_second))

    def options(self) -> dict[str, Any]:
        return {"rate_per_second": number("options.rate_per_second", self.rate)}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        return [_("At most %(rate)s messages a second go out.", rate=self.rate)] if self.rate else []

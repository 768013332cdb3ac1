"""Respect: who is spared for now, and who is held out for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from campaigns.store import Campaign
from runtime.settings import Settings
from web.campaign_form.section import Offered, Section, number, shown
from web.i18n import _


@dataclass(frozen=True)
class Respect(Section):
    NAME: ClassVar[str] = "respect"
    PATHS: ClassVar = {"options.holdout_percent": "holdout"}
    OPTIONS: ClassVar[frozenset[str]] = frozenset({"holdout_percent"})

    holdout: str = ""

    @classmethod
    def fill(cls, found: Campaign, settings: Settings) -> Self:
        return cls(holdout=shown(found.options.holdout_percent or None))

    def options(self) -> dict[str, Any]:
        return {"holdout_percent": number("options.holdout_percent", self.holdout)}

    def say(self, offered: Offered, settings: Settings) -> list[str]:
        return [_("%(share)s %% get nothing, for comparison.", share=self.holdout)] if self.holdout else []

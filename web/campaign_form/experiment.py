"""Experiment: variants that are tried out against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from web.campaign_form.section import Section


@dataclass(frozen=True)
class Experiment(Section):
    NAME: ClassVar[str] = "experiment"

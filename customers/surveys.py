"""The kinds of survey: what may be answered, and how answers are summed up.

- `csat`, customer satisfaction: 1 (very dissatisfied) to 5 (very satisfied); the share of 4 and 5 is the figure.
- `nps`, the Net Promoter Score (Reichheld, "The One Number You Need to Grow", Harvard Business Review, December 2003):
  "How likely is it that you would recommend us to a friend or colleague?", 0 to 10. 9 and 10 are promoters, 7 and 8
  passives, 0 to 6 detractors; the score is the promoters' share minus the detractors', -100 to 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROMOTER, PASSIVE, DETRACTOR = "promoter", "passive", "detractor"
PROMOTER_FROM, PASSIVE_FROM = 9, 7
SATISFIED_FROM = 4


@dataclass(frozen=True)
class Survey:
    """`number` is its place in tokens; an answer of at most `bad` wants somebody to call."""

    name: str
    number: int
    low: int
    high: int
    bad: int

    @property
    def scores(self) -> range:
        return range(self.low, self.high + 1)


CSAT = Survey("csat", 1, 1, 5, bad=2)
NPS = Survey("nps", 2, 0, 10, bad=6)
SURVEYS: Mapping[str, Survey] = {survey.name: survey for survey in (CSAT, NPS)}


def nps_group(score: int) -> str:
    """Reichheld's group of somebody who answers `score` of 10."""
    return PROMOTER if score >= PROMOTER_FROM else PASSIVE if score >= PASSIVE_FROM else DETRACTOR
